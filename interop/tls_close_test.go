//go:build linux

package interop

import (
	"errors"
	"fmt"
	"testing"

	"usersock/interop/netns"
	"usersock/tls"
)

// TestOpenSSLClose: close_notify from either side first, and ends without it.
func TestOpenSSLClose(t *testing.T) {
	netns.Need(t, "openssl", "stdbuf")
	n := host(t, "tun")
	ca := newAuthority(t, "root")
	show := ca.issue("ecdsa", tlsName)
	l := listenTCP(t, n, tlsPort)
	for i, v := range tickets {
		port := tlsPort + 1 + i
		server := sServer(t, port, show, v.flag)
		t.Run(v.name+"/client", func(t *testing.T) {
			begin := func() *tls.SSLSocket {
				s := mustConnectTLS(t, n, ca.client(t), port, tls.WrapOptions{ReportRaggedEOFs: true}, server)
				say(t, s, "hello", server)
				server.Expect("hello")
				return s
			}
			// We first.
			s := begin()
			unwrapTLS(t, s, server)
			server.Expect("CONNECTION CLOSED")
			// They without: ragged, and an error of unwrap too.
			s = begin()
			server.Say("q\n") // it closes the socket
			raggedEnd(t, s, server)
			// We without: they complain.
			s = begin()
			server.Say("read me\n")
			hear(t, s, "read me", server)
			check(t, s.Close())
			server.Expect("unexpected eof while reading")
			// They first: an end, and no ragged one.
			port := port + len(tickets)
			server := sServer(t, port, show, v.flag, "-rev")
			s = mustConnectTLS(t, n, ca.client(t), port, tls.WrapOptions{ReportRaggedEOFs: true}, server)
			say(t, s, "abc", server)
			hear(t, s, "cba", server)
			say(t, s, "CLOSE", server)
			hearEnd(t, s, server)
			hearEnd(t, s, server)
			unwrapTLS(t, s, server)
			server.Expect("CONNECTION CLOSED")
		})
		t.Run(v.name+"/server", func(t *testing.T) {
			begin := func() (*netns.Process, *tls.SSLSocket) {
				client := sClient(t, tlsPort, ca, v.flag)
				s := mustAcceptTLS(t, l, ca.server(t, show), tls.WrapOptions{ReportRaggedEOFs: true}, client)
				client.Say("hello\n")
				hear(t, s, "hello", client)
				say(t, s, "and back", client)
				client.Expect("and back")
				return client, s
			}
			// We first.
			client, s := begin()
			unwrapTLS(t, s, client)
			client.Expect("closed")
			client.Wait()
			// They first.
			client, s = begin()
			client.Say("last line\n")
			client.EndInput()
			hear(t, s, "last line", client)
			hearEnd(t, s, client)
			hearEnd(t, s, client)
			unwrapTLS(t, s, client)
			client.Wait()
			// We without.
			client, s = begin()
			check(t, s.Close())
			client.Expect("unexpected eof while reading")
			if client.End() == nil {
				t.Errorf("s_client takes an end without close_notify for a good one:\n%s", client.Printed())
			}
			// They without, by a signal: ragged, and an error of unwrap too.
			client, s = begin()
			client.Interrupt()
			client.End()
			raggedEnd(t, s, client)
		})
	}
}

// raggedEnd wants an end without close_notify.
func raggedEnd(t *testing.T, s *tls.SSLSocket, peer *netns.Process) {
	t.Helper()
	if data, err := s.Recv(100); len(data) != 0 || !errors.Is(err, tls.SSLEOFError) {
		t.Errorf("%q, %v, want SSLEOFError\n%s", data, err, peer.Printed())
	}
	if _, err := s.Unwrap(); !errors.Is(err, tls.SSLEOFError) {
		t.Errorf("unwrap: %v, want SSLEOFError\n%s", err, peer.Printed())
	}
}

// TestOpenSSLKeyUpdate: keys change while data goes both ways, asked for by
// either side and answered.
func TestOpenSSLKeyUpdate(t *testing.T) {
	netns.Need(t, "openssl", "stdbuf")
	n := host(t, "tun")
	ca := newAuthority(t, "root")
	show := ca.issue("ecdsa", tlsName)

	server := sServer(t, tlsPort, show, "-tls1_3")
	s := mustConnectTLS(t, n, ca.client(t), tlsPort, tls.WrapOptions{}, server)
	for i, command := range []string{"k", "K", "K", "k"} { // K wants an update in return
		server.Say(command + "\n")
		server.Expect("SSL_do_handshake -> 1")
		server.Say(fmt.Sprintf("after %d\n", i))
		hear(t, s, fmt.Sprint("after ", i), server)
		say(t, s, fmt.Sprint("answer ", i), server)
		server.Expect(fmt.Sprint("answer ", i))
	}
	unwrapTLS(t, s, server)

	l := listenTCP(t, n, tlsPort)
	client := sClient(t, tlsPort, ca, "-tls1_3")
	s = mustAcceptTLS(t, l, ca.server(t, show), tls.WrapOptions{}, client)
	for i, command := range []string{"k", "K", "K", "k"} {
		client.Say(command + "\n")
		client.Expect("KEYUPDATE")
		client.Say(fmt.Sprintf("after %d\n", i))
		hear(t, s, fmt.Sprint("after ", i), client)
		say(t, s, fmt.Sprint("answer ", i), client)
		client.Expect(fmt.Sprint("answer ", i))
	}
	client.EndInput()
	hearEnd(t, s, client)
	unwrapTLS(t, s, client)
	client.Wait()
}

// TestOpenSSLRenegotiation: a new handshake within a connection is refused.
func TestOpenSSLRenegotiation(t *testing.T) {
	netns.Need(t, "openssl", "stdbuf")
	n := host(t, "tun")
	ca := newAuthority(t, "root")
	show := ca.issue("ecdsa", tlsName)

	l := listenTCP(t, n, tlsPort)
	client := sClient(t, tlsPort, ca, "-tls1_2")
	s := mustAcceptTLS(t, l, ca.server(t, show), tls.WrapOptions{}, client)
	client.Say("hello\n")
	hear(t, s, "hello", client)
	client.Say("R\n")
	client.Expect("RENEGOTIATING")
	_, err := s.Recv(100)
	wantSSLError(t, err, "UNEXPECTED_MESSAGE", client)
	client.Expect("alert")
	if client.End() == nil {
		t.Errorf("s_client goes on:\n%s", client.Printed())
	}

	server := sServer(t, tlsPort, show, "-tls1_2")
	s = mustConnectTLS(t, n, ca.client(t), tlsPort, tls.WrapOptions{}, server)
	say(t, s, "hello", server)
	server.Expect("hello")
	server.Say("r\n")
	_, err = s.Recv(100)
	wantSSLError(t, err, "NO_RENEGOTIATION", server)
}
