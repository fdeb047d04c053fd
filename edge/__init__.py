"""What runs on the board: read images, detect, measure accuracy, write results. numpy and OpenCV only; never torch."""
