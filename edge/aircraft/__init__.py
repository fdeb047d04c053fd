"""The aircraft: MAVLink link, autopilot, flight state, position of a pixel on the ground."""
