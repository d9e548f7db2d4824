# SPDX-License-Identifier: Apache-2.0
"""A further cast: rigged people from a folder of glTF files, posed by the project's own poses."""
