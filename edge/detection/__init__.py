"""From an image to detections: letterbox, inference, decoding, NMS; whole frames or tiles."""
