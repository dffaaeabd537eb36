package docs_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/netip"
	"os"
	"time"

	"usersock/netdev"
	"usersock/resolver"
	"usersock/sockapi"
	"usersock/stack"
	"usersock/stack/endpoint"
	"usersock/testnet/dnszone"
	"usersock/tls"
)

// What getting-started.md shows, and the examples that run it. The functions
// up to the first example are shown as they stand here: keep them readable on
// their own.

// autoHost makes a host on link that is configured by its network, and waits
// until it is.
func autoHost(ctx context.Context, link netdev.Link) (*sockapi.Net, error) {
	host, err := stack.New(stack.Config{
		Interfaces: []stack.Interface{{Link: link, Auto: stack.Auto{DHCPv4: true, RouterAdvertisements: true}}},
	})
	if err != nil {
		return nil, err
	}
	if err := host.Configured(ctx); err != nil {
		return nil, errors.Join(err, host.Close())
	}
	return sockapi.New(sockapi.Config{Stack: host})
}

// newHost makes a host named name, with one interface on link, and a Net on it.
func newHost(name string, link netdev.Link, cfg resolver.Config, addrs ...netip.Prefix) (*sockapi.Net, error) {
	host, err := stack.New(stack.Config{
		Hostname:   name,
		Interfaces: []stack.Interface{{Name: "eth0", Link: link, Addrs: addrs}},
	})
	if err != nil {
		return nil, err
	}
	return sockapi.New(sockapi.Config{Stack: host, Resolver: cfg})
}

// echoOnce accepts one connection and sends back what comes.
func echoOnce(server *sockapi.Net, ready chan<- struct{}) error {
	l, err := server.Listen("tcp", ":50007")
	if err != nil {
		return err
	}
	defer l.Close()
	close(ready)
	conn, err := l.Accept()
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = io.Copy(conn, conn)
	return err
}

func readWithDeadline(client *sockapi.Net) error {
	conn, err := client.Dial("tcp", "192.0.2.2:50007")
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	_, err = conn.Read(make([]byte, 1024)) // the server says nothing first
	fmt.Println(errors.Is(err, os.ErrDeadlineExceeded))
	conn.SetReadDeadline(time.Time{}) // none again
	return nil
}

func fetch(client, server *sockapi.Net) error {
	l, err := server.Listen("tcp", ":80")
	if err != nil {
		return err
	}
	web := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "you asked for %s\n", r.URL.Path)
	})}
	go web.Serve(l)
	defer web.Close()

	browser := &http.Client{Transport: &http.Transport{DialContext: client.DialContext}}
	defer browser.CloseIdleConnections()
	reply, err := browser.Get("http://192.0.2.2/index.html")
	if err != nil {
		return err
	}
	defer reply.Body.Close()
	text, err := io.ReadAll(reply.Body)
	fmt.Print(string(text))
	return err
}

// secret serves a page over TLS, and talks to the server in two ways. cert and
// key are PEM.
func secret(client, server *sockapi.Net, cert, key []byte) error {
	serving, err := tls.NewSSLContext(tls.PROTOCOL_TLS_SERVER)
	if err != nil {
		return err
	}
	if err := serving.LoadCertChainData(cert, key, nil); err != nil {
		return err
	}
	l, err := server.Listen("tcp", ":443")
	if err != nil {
		return err
	}
	web := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "nobody else reads this")
	})}
	go web.Serve(serving.NewListener(l))
	defer web.Close()

	// As Python does it: a context, and a socket wrapped with it.
	trusting, err := tls.CreateDefaultContext(false, "", "", cert)
	if err != nil {
		return err
	}
	plain, err := client.CreateConnection(sockapi.InetAddr{Host: "192.0.2.2", Port: 443}, sockapi.Forever, nil)
	if err != nil {
		return err
	}
	s, err := trusting.WrapSocket(plain, tls.WrapOptions{ServerHostname: "server.example"})
	if err != nil {
		return err
	}
	fmt.Println(s.Version())
	s.Close()

	// As Go does it; the name is wrong.
	browser := &http.Client{Transport: &http.Transport{DialTLSContext: trusting.DialTLSContext(client)}}
	_, err = browser.Get("https://192.0.2.2/")
	var refused *tls.SSLCertVerificationError
	if errors.As(err, &refused) {
		fmt.Println(refused.VerifyCode, refused.VerifyMessage)
	}
	return nil
}

func echoServer(n *sockapi.Net, ready chan<- struct{}) error {
	s, err := n.Socket(sockapi.AF_INET, sockapi.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.Bind(sockapi.InetAddr{Host: "", Port: 50007}); err != nil {
		return err
	}
	if err := s.Listen(1); err != nil {
		return err
	}
	close(ready)
	conn, addr, err := s.Accept()
	if err != nil {
		return err
	}
	defer conn.Close()
	fmt.Println("Connected by", addr.(sockapi.InetAddr).Host)
	for {
		data, err := conn.Recv(1024)
		if err != nil {
			return err
		}
		if len(data) == 0 { // the end of the stream
			return nil
		}
		if err := conn.Sendall(data); err != nil {
			return err
		}
	}
}

func echoClient(n *sockapi.Net) error {
	s, err := n.Socket(sockapi.AF_INET, sockapi.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.Connect(sockapi.InetAddr{Host: "192.0.2.2", Port: 50007}); err != nil {
		return err
	}
	if err := s.Sendall([]byte("Hello, world")); err != nil {
		return err
	}
	data, err := s.Recv(1024)
	fmt.Printf("Received %q\n", data)
	return err
}

func timeouts(n *sockapi.Net) error {
	a, b, err := n.Socketpair(sockapi.AF_UNIX, sockapi.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	defer a.Close()
	defer b.Close()

	a.Settimeout(20 * time.Millisecond) // Python: a.settimeout(0.02)
	_, err = a.Recv(1)
	fmt.Println(err, errors.Is(err, sockapi.ErrTimeout))

	a.Setblocking(false) // the same as Settimeout(0)
	_, err = a.Recv(1)
	fmt.Println(err, errors.Is(err, endpoint.EAGAIN))

	a.Settimeout(sockapi.Forever) // Python: a.settimeout(None)
	b.Send([]byte("x"))
	data, err := a.Recv(1)
	fmt.Printf("%q %v\n", data, err)
	return nil
}

func connectWithoutWaiting(n *sockapi.Net) error {
	s, err := n.Socket(sockapi.AF_INET, sockapi.SOCK_STREAM|sockapi.SOCK_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer s.Close()
	errno, err := s.ConnectEx(sockapi.InetAddr{Host: "192.0.2.2", Port: 50007})
	if err != nil {
		return err
	}
	fmt.Println("in progress:", errno == endpoint.EINPROGRESS)

	// Wait until the socket can be written to, at most 5 seconds.
	_, writable, _, err := n.Select(nil, []int{s.Fileno()}, nil, 5*time.Second)
	if err != nil {
		return err
	}
	fmt.Println("writable:", len(writable) == 1)

	// SO_ERROR tells how the attempt ended: 0 is success.
	result, err := s.Getsockopt(sockapi.SOL_SOCKET, sockapi.SO_ERROR)
	fmt.Println("connected:", result == 0)
	return err
}

func waitForMany(n *sockapi.Net) error {
	poller := n.Poller()
	defer poller.Close()
	var senders []*sockapi.Socket
	for range 1000 {
		a, b, err := n.Socketpair(sockapi.AF_UNIX, sockapi.SOCK_DGRAM, 0)
		if err != nil {
			return err
		}
		// The third argument comes back with each event of the descriptor.
		if err := poller.Add(a.Fileno(), sockapi.EPOLLIN, a); err != nil {
			return err
		}
		senders = append(senders, b)
	}
	senders[700].Send([]byte("only this one"))

	events := make([]sockapi.PollerEvent, 64)
	ready, err := poller.Wait(events, sockapi.Forever)
	if err != nil {
		return err
	}
	for _, event := range events[:ready] {
		data, err := event.Data.(*sockapi.Socket).Recv(100)
		fmt.Printf("%q %v\n", data, err)
	}
	return nil
}

func passDescriptor(n *sockapi.Net) error {
	a, b, err := n.Socketpair(sockapi.AF_UNIX, sockapi.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	udp, err := n.Socket(sockapi.AF_INET, sockapi.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	// The receiver may be another Net of the same Stack.
	if _, err := a.SendFds([][]byte{[]byte("take it")}, []int{udp.Fileno()}, 0, nil); err != nil {
		return err
	}
	udp.Close()
	data, fds, _, _, err := b.RecvFds(100, 1)
	if err != nil {
		return err
	}
	s, err := n.Adopt(fds[0])
	if err != nil {
		return err
	}
	fmt.Printf("%q %v\n", data, s.Type() == sockapi.SOCK_DGRAM)
	return s.Close()
}

func lines(n *sockapi.Net) error {
	a, b, err := n.Socketpair(sockapi.AF_UNIX, sockapi.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	defer a.Close()
	if err := b.Sendall([]byte("one\ntwo\n")); err != nil {
		return err
	}
	b.Close()
	f, err := a.Makefile("r", -1)
	if err != nil {
		return err
	}
	defer f.Close()
	for line, err := range f.Lines() {
		if err != nil {
			return err
		}
		fmt.Printf("%q\n", line)
	}
	return nil
}

const zone = `
$TTL 300
@     SOA   ns hostmaster 1 3600 600 86400 300
      NS    ns
ns    A     192.0.2.2
www   A     192.0.2.2
www   AAAA  2001:db8::2
`

// serveNames answers questions about example.com on a host's UDP port 53,
// until the function it returns is called.
func serveNames(n *sockapi.Net) (stop func(), err error) {
	z, err := dnszone.Parse(zone, "example.com.")
	if err != nil {
		return nil, err
	}
	pc, err := n.ListenPacket("udp", ":53")
	if err != nil {
		return nil, err
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		dnszone.NewServer(z).Serve(pc)
	}()
	return func() { pc.Close(); <-done }, nil
}

func look(n *sockapi.Net) error {
	infos, err := n.Getaddrinfo(context.Background(), "www.example.com", "http",
		sockapi.AF_UNSPEC, sockapi.SOCK_STREAM, 0, 0)
	if err != nil {
		return err
	}
	for _, info := range infos {
		fmt.Println(info.Addr)
	}
	_, err = n.Gethostbyname(context.Background(), "nobody.example.com")
	var gai *sockapi.Gaierror
	fmt.Println(errors.As(err, &gai), err)
	return nil
}

// lookTwice lets a name server, whose zone is made without a text, fail at first.
func lookTwice(client, server *sockapi.Net) error {
	z, err := dnszone.NewZone("example.com.")
	if err != nil {
		return err
	}
	ip := netip.MustParseAddr("192.0.2.2")
	err = errors.Join(
		z.Start(300, dnszone.NameServer{Name: "ns.example.com.", Addrs: []netip.Addr{ip}}),
		z.AddAddrs("www", 300, ip),
		z.Delegate("child", 300, dnszone.NameServer{Name: "ns.child", Addrs: []netip.Addr{ip}}))
	if err != nil {
		return err
	}
	names := dnszone.NewServer(z)
	fault, err := names.AddFault(dnszone.Fault{Name: "www.example.com.", Do: dnszone.Fail, Times: 1})
	if err != nil {
		return err
	}
	pc, err := server.ListenPacket("udp", ":53")
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- names.Serve(pc) }()
	found, err := client.Gethostbyname(context.Background(), "www.example.com")
	fmt.Println(found, err, fault.Hits())
	pc.Close()
	return <-done
}

// inspect prints what a host is doing.
func inspect(server *sockapi.Net) error {
	l, err := server.Listen("tcp", ":80")
	if err != nil {
		return err
	}
	defer l.Close()
	now := server.Stack().Snapshot()
	fmt.Print(now.SS(stack.SSOptions{Listening: true}), now.IPRoute())
	for _, s := range now.Sockets {
		fmt.Println(s.State, s.Local, s.Owner.Pid)
	}
	for _, m := range server.Stack().Metrics() {
		if m.Linux == "TcpPassiveOpens" {
			fmt.Println(m.Kind, m)
		}
	}
	return nil
}

// follow prints a change of a host's addresses.
func follow(host *stack.Stack) error {
	changes := make(chan stack.Event, 10)
	stop := host.Watch(func(e stack.Event) { changes <- e })
	defer stop()
	if err := host.AddAddr("eth0", netip.MustParsePrefix("198.51.100.1/24")); err != nil {
		return err
	}
	fmt.Println(<-changes)
	return nil
}

// What follows is not shown.

// pair makes the two hosts of the examples; end closes them.
func pair() (client, server *sockapi.Net, end func()) {
	return pairWith(resolver.Config{})
}

func pairWith(cfg resolver.Config) (client, server *sockapi.Net, end func()) {
	a, b := netdev.Pair(netdev.PairConfig{})
	client, err := newHost("client", a, cfg, netip.MustParsePrefix("192.0.2.1/24"), netip.MustParsePrefix("2001:db8::1/64"))
	if err != nil {
		log.Fatal(err)
	}
	server, err = newHost("server", b, resolver.Config{}, netip.MustParsePrefix("192.0.2.2/24"), netip.MustParsePrefix("2001:db8::2/64"))
	if err != nil {
		log.Fatal(err)
	}
	return client, server, func() {
		for _, n := range []*sockapi.Net{client, server} {
			if err := errors.Join(n.Close(), n.Stack().Close()); err != nil {
				fmt.Println(err)
			}
		}
	}
}

func show(err error) {
	if err != nil {
		fmt.Println(err)
	}
}

// serving runs a server until it listens, then the client, and waits for both.
func serving(server func(ready chan<- struct{}) error, client func() error) {
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- server(ready) }()
	select {
	case <-ready:
		show(client())
		show(<-ended)
	case err := <-ended:
		fmt.Println("the server ended:", err)
	}
}

func Example_deadline() {
	client, server, end := pair()
	defer end()
	serving(func(ready chan<- struct{}) error { return echoOnce(server, ready) },
		func() error { return readWithDeadline(client) })
	// Output:
	// true
}

func Example_http() {
	client, server, end := pair()
	defer end()
	show(fetch(client, server))
	// Output:
	// you asked for /index.html
}

func Example_tls() {
	client, server, end := pair()
	defer end()
	cert, key, err := selfSigned("server.example")
	if err == nil {
		err = secret(client, server, cert, key)
	}
	show(err)
	// Output:
	// TLSv1.3
	// 64 IP address mismatch, certificate is not valid for '192.0.2.2'.
}

// selfSigned makes a certificate, for an hour.
func selfSigned(name string) (cert, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	now := time.Now()
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, NotBefore: now.Add(-time.Minute), NotAfter: now.Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &private.PublicKey, private)
	if err != nil {
		return nil, nil, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), err
}

func Example_sockets() {
	client, server, end := pair()
	defer end()
	// The server prints before it answers, so the order is fixed.
	serving(func(ready chan<- struct{}) error { return echoServer(server, ready) },
		func() error { return echoClient(client) })
	// Output:
	// Connected by 192.0.2.1
	// Received "Hello, world"
}

func Example_timeouts() {
	client, _, end := pair()
	defer end()
	show(timeouts(client))
	// Output:
	// recv: timed out true
	// recv: Resource temporarily unavailable true
	// "x" <nil>
}

func Example_nonBlocking() {
	client, server, end := pair()
	defer end()
	serving(func(ready chan<- struct{}) error { return echoOnce(server, ready) },
		func() error { return connectWithoutWaiting(client) })
	// Output:
	// in progress: true
	// writable: true
	// connected: true
}

func Example_waitForMany() {
	client, _, end := pair()
	defer end()
	show(waitForMany(client))
	// Output:
	// "only this one" <nil>
}

func Example_passDescriptor() {
	client, _, end := pair()
	defer end()
	show(passDescriptor(client))
	// Output:
	// "take it" true
}

func Example_makefile() {
	client, _, end := pair()
	defer end()
	show(lines(client))
	// Output:
	// "one\n"
	// "two\n"
}

func Example_snapshot() {
	_, server, end := pair()
	defer end()
	show(inspect(server))
	// Output:
	// Netid State  Recv-Q Send-Q Local Address:Port Peer Address:Port Process
	// tcp   LISTEN 0      4096               *:80              *:*
	// 192.0.2.0/24 dev eth0 proto kernel scope link src 192.0.2.2
	// 2001:db8::/64 dev eth0 proto kernel
	// LISTEN [::]:80 1
	// counter usersock_netstat_Tcp_PassiveOpens 0
}

func Example_watch() {
	client, _, end := pair()
	defer end()
	show(follow(client.Stack()))
	// Output:
	// eth0: address added: 198.51.100.1/24
}

func Example_names() {
	client, server, end := pairWith(resolver.Config{
		Servers: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.2:53")},
	})
	defer end()
	stop, err := serveNames(server)
	if err != nil {
		log.Fatal(err)
	}
	defer stop()
	show(look(client))
	// Output:
	// [2001:db8::2]:80
	// 192.0.2.2:80
	// true Name or service not known
}

func Example_fault() {
	client, server, end := pairWith(resolver.Config{
		Servers: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.2:53")},
	})
	defer end()
	show(lookTwice(client, server))
	// Output: 192.0.2.2 <nil> 1
}

// A network that tells nothing: the wait ends with the context.
func Example_auto() {
	link, other := netdev.Pair(netdev.PairConfig{})
	defer netdev.Close(other)
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	_, err := autoHost(ctx, link)
	fmt.Println(errors.Is(err, context.DeadlineExceeded))
	// Output: true
}
