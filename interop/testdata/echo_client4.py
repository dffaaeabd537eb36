# Echo client program, IPv4. Usage: echo_client4.py HOST
import socket
import sys

HOST = sys.argv[1]        # The remote host
PORT = 50007              # The same port as used by the server
s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
s.connect((HOST, PORT))
s.send(b'Hello, world')
data = s.recv(1024)
s.close()
print('Received', repr(data))
