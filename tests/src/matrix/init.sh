#!/bin/busybox sh
# The first process of a guest: devices, the interface, then one command a line from the second serial port.
/bin/busybox --install -s /bin
export PATH=/usr/sbin:/usr/bin:/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /run
mount -t tmpfs tmp /tmp
mount -t bpf bpf /sys/fs/bpf
mount -t cgroup2 cgroup /sys/fs/cgroup
argument() { for word in $(cat /proc/cmdline); do case $word in dfaas.$1=*) echo "${word#*=}";; esac; done; }
# Nobody may be left to end this machine.
( sleep 1800; poweroff -f ) &
for module in $(cat /modules/order); do insmod /modules/$module || echo "insmod $module failed"; done
ip link set lo up
n=0
while [ $n -lt 100 ]; do
  interface=$(ls /sys/class/net | grep -v '^lo$' | head -n 1)
  [ -n "$interface" ] && break
  usleep 100000; n=$((n+1))
done
[ "$interface" = eth0 ] || ip link set "$interface" name eth0
ip addr add "$(argument address)/24" dev eth0
ip link set eth0 up
hostname "$(argument name)"
exec 3<>/dev/ttyS1
stty raw -echo <&3
echo "DFAAS-READY" >&3
while read -r line <&3; do
  ( eval "$line" ) >&3 2>&1 </dev/null 3>&-
  echo "DFAAS-END $?" >&3
done
