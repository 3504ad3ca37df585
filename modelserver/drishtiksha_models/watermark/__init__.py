"""Steps of GEN-WATERMARK-V1: the known messages, the reading of bits from a picture, chance, the drawing."""
