"""Steps of IMAGE-SPECTRUM-V1: the averaged spectrum of tiles, what stands out in it, maps of noise and of re-saving."""
