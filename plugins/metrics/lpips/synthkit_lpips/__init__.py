# SPDX-License-Identifier: Apache-2.0
"""synthkit metrics: LPIPS, SSIM and PSNR between images that belong together."""
