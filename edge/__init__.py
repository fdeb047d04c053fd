"""Everything that runs on the board: read images, detect, score, write results. numpy and OpenCV, no torch."""
