"""Devices of the field that speak their own protocols to the platform's doors: HJ 212, GB/T 26875.3, MQTT.

`faults` says what goes wrong on purpose; `words` brings a reading into the device's words and units; `hj212`, `gb26875` and `mqtt` are devices
without I/O; `line` is the TCP connection of one of them, `broker` the connection to an MQTT broker; `speakers` makes all of a city's.
"""
