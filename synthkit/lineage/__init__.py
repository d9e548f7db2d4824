# SPDX-License-Identifier: Apache-2.0
"""Where things come from: from any artefact back to configurations, seeds, versions and parents."""
