// Userspace-echo shows the echo programs of Python's socket documentation on
// a TCP/IP stack of its own. Without arguments it runs them between two hosts
// inside this process; serve and dial run them over a link, such as a TUN
// device. lookup shows how a name is found.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

const usage = `userspace-echo: the echo programs of the socket documents, on a TCP/IP stack
of their own.

  userspace-echo                    run them between two hosts in this process
  userspace-echo serve -link SPEC [COMMAND...]
                                    run the echo server (TCP and UDP) on a link,
                                    until Ctrl-C or while a command runs
  userspace-echo dial  -link SPEC HOST
                                    run the echo client on a link
  userspace-echo lookup [-link SPEC -dns SERVER] NAME
                                    who is asked about a name, and in which order
                                    its addresses come; in this process the names
                                    are daring.cwi.nl, www.cwi.nl, mirrors.cwi.nl

A link to try, as root or inside "unshare -Urn":

  ip tuntap add mode tun dev tun0 && ip addr add 192.0.2.1/24 dev tun0 && ip link set tun0 up
  userspace-echo serve -link tun:tun0 -addr 192.0.2.2/24 ping -c 3 192.0.2.2

With -tls both speak TLS: "userspace-echo dial -h" says what they verify.
With -auto instead of -addr the network tells the address: DHCP, IPv6 routers.

Exit status: 0 when every reply was right, 1 when something failed or a name was
not found, 2 for a wrong command line. "userspace-echo serve -h" lists the options.
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the program without the process around it.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var err error
	switch {
	case len(args) == 0:
		err = demo(ctx, stdout)
	case args[0] == "serve":
		err = serve(ctx, args[1:], stdout, stderr)
	case args[0] == "dial":
		err = dial(ctx, args[1:], stdout, stderr)
	case args[0] == "lookup":
		err = lookup(ctx, args[1:], stdout, stderr)
	case args[0] == "-h" || args[0] == "-help" || args[0] == "--help" || args[0] == "help":
		fmt.Fprint(stdout, usage)
	default:
		fmt.Fprint(stderr, usage)
		err = usageError(fmt.Sprintf("unknown command %q", args[0]))
	}
	switch wrong := usageError(""); {
	case err == nil || errors.Is(err, flag.ErrHelp):
		return 0
	case errors.As(err, &wrong):
		fmt.Fprintln(stderr, "userspace-echo:", err)
		return 2
	default:
		fmt.Fprintln(stderr, "userspace-echo:", err)
		return 1
	}
}

// interrupted says that err is the end of ctx, if it is: a call that was cut
// short only knows that its socket is closed.
func interrupted(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil {
		return err
	}
	return fmt.Errorf("%w: %w", context.Cause(ctx), err)
}

// usageError is a wrong command line.
type usageError string

func (e usageError) Error() string { return string(e) }
