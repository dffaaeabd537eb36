export DEMO=$HOME TUN_NODE=$HOME/tun
mount -t sysfs none /sys
