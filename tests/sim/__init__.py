"""The simulation ring: machines, faults and controllers in virtual time, under the real control code."""
