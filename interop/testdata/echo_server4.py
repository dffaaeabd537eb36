# Echo server program, IPv4.
import socket

HOST = ''                 # Symbolic name meaning the local host
PORT = 50007              # Arbitrary non-privileged port
s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # for the next test
s.bind((HOST, PORT))
s.listen(1)
print('Listening', flush=True)
conn, addr = s.accept()
print('Connected by', addr, flush=True)
while 1:
    data = conn.recv(1024)
    if not data: break
    conn.send(data)
conn.close()
