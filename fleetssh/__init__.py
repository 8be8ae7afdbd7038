"""fleetssh: systemd for a cluster, with nothing on the machines but sshd and systemd."""

__version__ = "0.1.0"
