package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"usersock/netdev"
	"usersock/resolver"
	"usersock/sockapi"
	"usersock/stack"
)

// options are what serve, dial and lookup have in common.
type options struct {
	link   string
	addrs  []netip.Prefix
	routes []stack.Route
	dns    []netip.AddrPort
	port   int
	tls    tlsOptions
	auto   bool // addresses, routes and name servers are the network's to tell

	inMemory bool            // without a link: a host of the demo
	search   []string        // domains that complete names
	resolver resolver.Config // beside the servers and the search list

	pcap   string         // the file to record to; "": none, "-": stdout
	stdout io.Writer      // the program's
	debug  netip.AddrPort // of the machine, where to show the stack; not valid: nowhere

	about string // what the link says of itself, after open
	shown string // where the stack is shown, after open
}

// withPort adds the options of those that have a port.
func (o *options) withPort(flags *flag.FlagSet) {
	flags.IntVar(&o.port, "port", port, "the TCP and UDP port, 1 to 65535")
	o.tls.flags(flags.Name(), flags)
}

// parse reads the options of a command, with more of its own, and returns what
// is left.
func (o *options) parse(command, about string, args []string, stderr io.Writer, more func(*flag.FlagSet)) ([]string, error) {
	o.port = port
	flags := flag.NewFlagSet(command, flag.ContinueOnError)
	flags.SetOutput(stderr)
	required := "required"
	if o.inMemory {
		required = "without it the host is one of the demo's"
	}
	flags.StringVar(&o.link, "link", "", "the link to attach, such as tun:tun0 or water:tun0 ("+required+")")
	flags.Func("addr", "an `address` with its prefix length, such as 192.0.2.2/24; again or with commas for more (required on a link without -auto)", o.addAddrs)
	flags.BoolVar(&o.auto, "auto", false, "learn addresses, routes and name servers from the network: DHCP, IPv6 router advertisements")
	flags.Func("route", "a `route` such as 0.0.0.0/0=192.0.2.1, or default=192.0.2.1 for the default one", o.addRoute)
	flags.Func("dns", "the `address` of a name server, such as 192.0.2.53", o.addServers)
	flags.StringVar(&o.pcap, "pcap", "", "record every packet to this `file` as pcapng, for Wireshark; a named pipe is live, and so is - for standard output (messages then go to standard error)")
	flags.Func("debug", "serve the stack's sockets, interfaces, routes and metrics by HTTP on this `address` of the machine's loopback, such as 127.0.0.1:6060", func(text string) (err error) {
		o.debug, err = debugAddr(text)
		return err
	})
	more(flags)
	flags.Usage = func() {
		fmt.Fprintf(stderr, "userspace-echo %s\n\nOptions:\n", about)
		flags.PrintDefaults()
		fmt.Fprintln(stderr, "\nLinks:")
		for _, spec := range netdev.Specs() {
			fmt.Fprintf(stderr, "  %-12s %s\n", spec.Form, spec.Text)
		}
	}
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil, err
		}
		return nil, usageError(err.Error())
	}
	if o.link == "" && o.inMemory {
		var wrong error
		flags.Visit(func(f *flag.Flag) {
			if strings.Contains(" addr auto route dns pcap debug ", " "+f.Name+" ") {
				wrong = usageError("-" + f.Name + " needs -link, such as -link tun:tun0")
			}
		})
		return flags.Args(), wrong
	}
	switch {
	case o.link == "":
		return nil, usageError("-link is missing: try -link tun:tun0")
	case len(o.addrs) == 0 && !o.auto:
		return nil, usageError("-addr is missing: the stack's own address, such as -addr 192.0.2.2/24, or -auto where the network tells it")
	case o.port < 1 || o.port > 65535:
		return nil, usageError(fmt.Sprintf("-port %d is not within 1 to 65535", o.port))
	}
	return flags.Args(), nil
}

func (o *options) addAddrs(text string) error {
	for _, t := range strings.Split(text, ",") {
		p, err := netip.ParsePrefix(strings.TrimSpace(t))
		if err != nil {
			return fmt.Errorf("want an address with the length of its prefix, such as 192.0.2.2/24: %w", err)
		}
		o.addrs = append(o.addrs, p)
	}
	return nil
}

func (o *options) addRoute(text string) error {
	for _, t := range strings.Split(text, ",") {
		dst, via, ok := strings.Cut(strings.TrimSpace(t), "=")
		if !ok {
			return errors.New("want NETWORK=ROUTER, such as 198.51.100.0/24=192.0.2.1")
		}
		router, err := netip.ParseAddr(via)
		if err != nil {
			return err
		}
		r := stack.Route{Via: router, Dev: "tun0"}
		switch {
		case dst != "default":
			if r.Dst, err = netip.ParsePrefix(dst); err != nil {
				return err
			}
			r.Dst = r.Dst.Masked()
		case router.Is4():
			r.Dst = netip.PrefixFrom(netip.IPv4Unspecified(), 0)
		default:
			r.Dst = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
		}
		o.routes = append(o.routes, r)
	}
	return nil
}

func (o *options) addServers(text string) error {
	for _, t := range strings.Split(text, ",") {
		t = strings.TrimSpace(t)
		if ap, err := netip.ParseAddrPort(t); err == nil {
			o.dns = append(o.dns, ap)
			continue
		}
		ip, err := netip.ParseAddr(t)
		if err != nil {
			return err
		}
		o.dns = append(o.dns, netip.AddrPortFrom(ip, 53))
	}
	return nil
}

// learnWithin is how long a network may take to tell the host its addresses.
const learnWithin = 30 * time.Second

// names is the resolver's configuration.
func (o *options) names() resolver.Config {
	cfg := o.resolver
	cfg.Servers = o.dns
	if len(o.search) > 0 {
		cfg.ResolvConf = "search " + strings.Join(o.search, " ") + "\n"
	}
	return cfg
}

// openAny makes the host on its link, or without one the demo's client, which
// ends with its world.
func (o *options) openAny(ctx context.Context, hostname string) (*sockapi.Net, func() error, error) {
	if o.link != "" {
		return o.open(ctx, hostname)
	}
	w, err := newWorld(o.names(), nil, demoAddrs())
	if err != nil {
		return nil, nil, err
	}
	return w.client, w.close, nil
}

// open makes the host on its link, and waits until it is configured.
func (o *options) open(ctx context.Context, hostname string) (*sockapi.Net, func() error, error) {
	link, err := netdev.Open(o.link)
	if err != nil {
		return nil, nil, err
	}
	o.about = netdev.Describe(link)
	link, finish, err := o.record(link)
	if err != nil {
		return nil, nil, err
	}
	st, err := stack.New(stack.Config{
		Hostname: hostname,
		Interfaces: []stack.Interface{{Name: "tun0", Link: link, Addrs: o.addrs,
			Auto: stack.Auto{DHCPv4: o.auto, RouterAdvertisements: o.auto}}},
		Routes: o.routes,
	})
	if err != nil {
		return nil, nil, errors.Join(err, finish())
	}
	if err := o.learn(ctx, st); err != nil {
		return nil, nil, errors.Join(err, st.Close(), finish())
	}
	n, err := sockapi.New(sockapi.Config{Stack: st, Resolver: o.names()})
	if err != nil {
		return nil, nil, errors.Join(err, st.Close(), finish())
	}
	hide := func() error { return nil }
	if o.debug.IsValid() {
		at, end, err := debug(st, o.debug)
		if err != nil {
			return nil, nil, errors.Join(err, n.Close(), st.Close(), finish())
		}
		hide = end
		o.shown = at
	}
	return n, func() error { return errors.Join(hide(), n.Close(), st.Close(), finish()) }, nil
}

// learn waits for what the network tells.
func (o *options) learn(ctx context.Context, st *stack.Stack) error {
	if !o.auto {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, learnWithin)
	defer cancel()
	if err := st.Configured(ctx); err != nil {
		return err
	}
	o.addrs = nil
	for _, in := range st.Interfaces() {
		for _, a := range in.Addrs {
			if !in.Loopback && !a.Addr().IsLinkLocalUnicast() {
				o.addrs = append(o.addrs, a)
			}
		}
	}
	return nil
}

// record puts a recorder on the link, if one is wanted.
func (o *options) record(link netdev.Link) (_ netdev.Link, finish func() error, err error) {
	if o.pcap == "" {
		return link, func() error { return nil }, nil
	}
	cfg := netdev.RecordConfig{Program: "userspace-echo"}
	if o.pcap == "-" {
		link, r := netdev.Record(link, "tun0", o.stdout, cfg)
		return link, r.Close, nil
	}
	file, err := os.OpenFile(o.pcap, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		netdev.Close(link)
		return nil, nil, err
	}
	link, r := netdev.Record(link, "tun0", file, cfg)
	return link, func() error { return errors.Join(r.Close(), file.Close()) }, nil
}

// messages says where the program's words go: not among the packets.
func (o *options) messages(stdout, stderr io.Writer) io.Writer {
	o.stdout = stdout
	if o.pcap == "-" {
		return stderr
	}
	return stdout
}

// describe tells what the link says of itself, what the network told, and where
// to look at the stack.
func (o *options) describe(out io.Writer) {
	if o.about != "" {
		fmt.Fprintf(out, "Link: %s.\n", o.about)
	}
	if o.auto {
		for _, a := range o.addrs {
			fmt.Fprintf(out, "Address: %v.\n", a)
		}
	}
	if o.shown != "" {
		fmt.Fprintf(out, "The stack at http://%s/ (also /snapshot, /metrics, /debug/vars).\n", o.shown)
	}
}

// serve runs echo servers for TCP and UDP until ctx ends, or while a command
// runs, whose failure is then its own.
func serve(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	var o options
	command, err := o.parse("serve", "serve -link SPEC [-auto] [-addr ADDRESS/BITS] [COMMAND [ARGUMENT...]]: echo what clients send, until Ctrl-C, or while a command runs", args, stderr, o.withPort)
	if err != nil {
		return err
	}
	stdout = o.messages(stdout, stderr)
	n, end, err := o.open(ctx, "server")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end()) }()
	out := &lines{w: stdout}
	at := fmt.Sprintf(":%d", o.port)
	l, err := n.Listen("tcp", at)
	if err != nil {
		return err
	}
	over, err := o.listenTLS(n, l)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	pc, err := n.ListenPacket("udp", at)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		l.Close()
		pc.Close()
		n.Close() // ends the connections
	})
	defer stop()
	o.describe(out)
	for _, a := range o.addrs {
		fmt.Fprintf(out, "Listening on %v, port %d (TCP and UDP), link %s.\n", a.Addr(), o.port, o.link)
	}
	var tasks sync.WaitGroup
	var failure error // the command's, after tasks
	ended := make(chan error, 1)
	defer n.Stack().Watch(func(e stack.Event) {
		switch e.Kind {
		case stack.LinkUp, stack.LinkDown:
			fmt.Fprintln(out, e)
		case stack.LinkEnded:
			ended <- e.Err
			cancel()
		}
	})()
	if len(command) > 0 {
		tasks.Go(func() {
			defer cancel()
			failure = runCommand(ctx, command, out, stderr)
		})
	} else {
		fmt.Fprintln(out, "Ctrl-C ends.")
	}
	tasks.Go(func() { echoPackets(pc) })
	err = echoStreams(ctx, out, over, &tasks)
	pc.Close()
	if ctx.Err() != nil {
		err = nil
	} else {
		n.Close()
	}
	tasks.Wait()
	fmt.Fprintln(out, "Ended.")
	select {
	case lost := <-ended:
		err = lost // what a command says of it is a consequence
	default:
		err = errors.Join(err, failure)
	}
	return err
}

// runCommand runs a program of the host beside the server, on the server's
// output, until it or ctx ends.
func runCommand(ctx context.Context, command []string, stdout, stderr io.Writer) error {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", command[0], err)
	}
	return nil
}

func echoStreams(ctx context.Context, out io.Writer, l net.Listener, tasks *sync.WaitGroup) error {
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		tasks.Go(func() {
			defer conn.Close()
			fmt.Fprintln(out, "Connected by", conn.RemoteAddr())
			if _, err := io.Copy(conn, conn); err != nil && ctx.Err() == nil {
				fmt.Fprintln(out, err)
			}
		})
	}
}

func echoPackets(pc net.PacketConn) {
	buf := make([]byte, 65536)
	for {
		n, from, err := pc.ReadFrom(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			pc.WriteTo(buf[:n], from) // what does not get through is lost, as datagrams are
		}
	}
}

// dial runs the echo client once.
func dial(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	var o options
	rest, err := o.parse("dial", "dial -link SPEC [-auto] [-addr ADDRESS/BITS] HOST [MESSAGE]: send a message and print the echo", args, stderr, o.withPort)
	if err != nil {
		return err
	}
	if len(rest) < 1 || len(rest) > 2 {
		return usageError("dial: want the name or address of a host, and perhaps a message")
	}
	message := hello
	if len(rest) == 2 {
		message = rest[1]
	}
	stdout = o.messages(stdout, stderr)
	n, end, err := o.open(ctx, "client")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end()) }()
	o.describe(stdout)
	stop := context.AfterFunc(ctx, func() { n.Close() })
	defer stop()
	if o.tls.on {
		return interrupted(ctx, o.tls.dial(stdout, n, rest[0], o.port, message))
	}
	return interrupted(ctx, clientAny(stdout, n, rest[0], o.port, message))
}
