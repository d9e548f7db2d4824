# SPDX-License-Identifier: Apache-2.0
"""Pictures, plots and the self-contained page that show what a run made."""
