package sockapi

import (
	"sync"
	"sync/atomic"
	"time"

	"usersock/resolver"
	"usersock/stack"
	"usersock/stack/endpoint"
)

// Config says what a [Net] is made of.
type Config struct {
	// Stack is the host. It is required, and stays the caller's to close.
	Stack *stack.Stack

	// Resolver configures the Net's names. Its Dial, Host, Clock and Learned
	// are the stack's where they are not set: without name servers of its own it
	// asks those that the network has told the stack.
	Resolver resolver.Config

	// Cred is the identity of this process, as SO_PEERCRED shows it; the zero
	// value is the Stack's.
	Cred endpoint.Cred
}

// Net is one process's view of a host: its descriptors, its default timeout
// and its resolver. All methods may be called from any goroutine.
type Net struct {
	stack    *stack.Stack
	clock    endpoint.Clock
	cred     endpoint.Cred
	resolver *resolver.Resolver
	timeout  atomic.Int64
	waiters  sync.Pool     // of *waiter
	pollers  atomic.Uint64 // how many were made

	mu     sync.Mutex // for the table only
	table  []*desc    // by descriptor; the first three stay empty
	free   int        // no lower row from firstFd on is empty
	closed bool
}

// firstFd is the lowest descriptor: 0 to 2 are a process's standard files.
const firstFd = 3

// New makes a Net on a stack.
func New(cfg Config) (*Net, error) {
	if cfg.Stack == nil {
		return nil, &ValueError{Op: "sockapi.New", Msg: "Config.Stack is not set"}
	}
	n := &Net{
		stack: cfg.Stack,
		clock: cfg.Stack.Clock(),
		cred:  cfg.Cred,
		table: make([]*desc, firstFd),
		free:  firstFd,
	}
	n.timeout.Store(int64(Forever))
	n.waiters.New = func() any { return newWaiter(n.clock) }
	var err error
	n.resolver, err = n.newResolver(cfg.Resolver)
	if err != nil {
		return nil, err
	}
	return n, nil
}

// Stack returns the host.
func (n *Net) Stack() *stack.Stack { return n.stack }

// Resolver returns what answers this Net's names.
func (n *Net) Resolver() *resolver.Resolver { return n.resolver }

// Close closes every descriptor of this Net, as the end of a process does:
// blocked calls return, and later ones fail as on closed sockets. The resolver is
// closed too. The Stack stays open. Closing twice is harmless.
func (n *Net) Close() error {
	n.mu.Lock()
	n.closed = true
	open := n.table[firstFd:]
	n.table = n.table[:firstFd]
	n.mu.Unlock()
	for _, d := range open {
		if d != nil {
			d.end() // an error says that another goroutine is closing it
		}
	}
	return n.resolver.Close()
}

// Getdefaulttimeout returns the timeout of new sockets: Forever, 0
// (non-blocking) or a duration.
func (n *Net) Getdefaulttimeout() time.Duration { return time.Duration(n.timeout.Load()) }

// Setdefaulttimeout sets the timeout of sockets made from now on, accepted
// ones included. A negative duration other than Forever is a [*ValueError].
func (n *Net) Setdefaulttimeout(timeout time.Duration) error {
	if err := checkTimeout("setdefaulttimeout", timeout); err != nil {
		return err
	}
	n.timeout.Store(int64(timeout))
	return nil
}

func checkTimeout(op string, timeout time.Duration) error {
	if timeout < 0 && timeout != Forever {
		return &ValueError{Op: op, Msg: "timeout value out of range"}
	}
	return nil
}

// Gethostname returns the host's name.
func (n *Net) Gethostname() string { return n.stack.Hostname() }

// Sethostname changes the host's name; EINVAL for more than 64 bytes.
func (n *Net) Sethostname(name string) error {
	return fail("sethostname", nil, n.stack.SetHostname(name))
}
