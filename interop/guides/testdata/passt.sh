# The world outside: another network namespace, with an echo server.
ip link set lo up
unshare --net sleep infinity &
world=$!
until [ "$(readlink /proc/$world/ns/net)" != "$(readlink /proc/$$/ns/net)" ]; do :; done
ip link add veth0 type veth peer name veth1 netns $world
ip addr add 192.0.2.2/24 dev veth0
ip link set veth0 up
ip route add default via 192.0.2.1
in_world() { nsenter -t $world -n "$@"; }
in_world ip addr add 192.0.2.1/24 dev veth1
in_world ip addr add 198.51.100.7/32 dev lo
in_world ip link set veth1 up
in_world ip link set lo up
cat >~/world.py <<'END'
import socket
s = socket.create_server(("198.51.100.7", 50007))
print("ready", flush=True)
while True:
    conn, addr = s.accept()
    with open("world.log", "a") as log:
        print("Connected by", addr[0], file=log)
    conn.sendall(conn.recv(1024))
    conn.close()
END
coproc in_world sh -c 'cd ~ && exec python3 world.py'
read -r ready <&${COPROC[0]}
