"""What each part of E-FPN-BS is worth: the same training with parts taken out, several seeds each."""
