"""A throw-away cluster of real systemd machines on this computer."""
