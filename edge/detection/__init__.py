"""Detection: letterbox, decoding, NMS, and detecting in tiles."""
