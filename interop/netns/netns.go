//go:build linux

// Package netns runs the tests of a package in a user and network namespace
// of their own, and runs the programs that they need there.
//
// [Main] is the package's TestMain. Every test starts with [Need]. It serves
// tests alone.
//
// /dev/net/tun is often root's alone. Where the environment variable USERSOCK_TUN
// names another node of that device (root makes one by
// "mknod PATH c 10 200; chmod 0666 PATH"), it is mounted over /dev/net/tun in the
// namespace.
package netns

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The state of this process: "inside" a namespace, or why there is none.
const stateVar = "USERSOCK_NETNS"

const inside = "inside"

// tunNode is where the TUN driver is looked for.
const tunNode = "/dev/net/tun"

// Main runs the tests of m in a new user and network namespace, where the
// user is root and the loopback interface is up, and exits with their result.
// Where no namespace can be made the tests run without one, and Need skips
// them.
func Main(m *testing.M) {
	if os.Getenv(stateVar) != inside {
		code, err := again()
		if err == nil {
			os.Exit(code)
		}
		os.Setenv(stateVar, fmt.Sprintf("no namespace for the test: %v", err))
		os.Exit(m.Run())
	}
	if err := furnish(); err != nil {
		fmt.Fprintln(os.Stderr, "netns:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// again runs this program once more, in new namespaces.
func again() (code int, err error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), stateVar+"="+inside)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		Pdeathsig:   syscall.SIGKILL,
	}
	runtime.LockOSThread() // the signal comes when the thread ends that started the child
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
		return 0, err
	}
	if code = cmd.ProcessState.ExitCode(); code < 0 {
		code = 1 // ended by a signal
	}
	return code, nil
}

// furnish prepares the namespaces.
func furnish() error {
	if node := os.Getenv("USERSOCK_TUN"); node != "" {
		if err := syscall.Mount(node, tunNode, "", syscall.MS_BIND, ""); err != nil {
			return fmt.Errorf("mount %s over %s: %w", node, tunNode, err)
		}
	}
	ip, err := exec.LookPath("ip")
	if err != nil {
		return nil // Need says so
	}
	if out, err := exec.Command(ip, "link", "set", "lo", "up").CombinedOutput(); err != nil {
		return fmt.Errorf("set lo up: %w: %s", err, out)
	}
	return nil
}

// Need skips the test unless it runs in a namespace with a usable TUN device
// and all of the programs.
func Need(t *testing.T, programs ...string) {
	t.Helper()
	if state := os.Getenv(stateVar); state != inside {
		Skip(t, state)
	}
	tun, err := os.OpenFile(tunNode, os.O_RDWR, 0)
	if err != nil {
		Skip(t, fmt.Sprintf("no TUN device: %v (USERSOCK_TUN may name another node of it)", err))
	}
	tun.Close()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			Skip(t, fmt.Sprintf("no program %s: %v", p, err))
		}
	}
}

// Skip skips the test, or fails it if USERSOCK_MUST_RUN is set.
func Skip(t *testing.T, reason string) {
	t.Helper()
	if v := os.Getenv("USERSOCK_MUST_RUN"); v != "" && v != "0" {
		t.Fatal("must run, but:", reason)
	}
	t.Skip(reason)
}

// IP runs the program ip in the namespace.
func IP(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// Up gives an interface of the kernel its addresses, each with its prefix
// length, sets it up, and waits until all of them can be used: the kernel
// takes IPv6 addresses into use on a queue of its own, and until then neither
// sends from them nor receives.
func Up(t *testing.T, name string, addrs ...string) {
	t.Helper()
	for _, a := range addrs {
		args := []string{"addr", "add", a, "dev", name}
		if strings.Contains(a, ":") {
			args = append(args, "nodad") // usable at once
		}
		IP(t, args...)
	}
	IP(t, "link", "set", name, "up")
	for end := time.Now().Add(patience); ; {
		out, err := exec.Command("ip", "-6", "addr", "show", "dev", name, "tentative").CombinedOutput()
		if err != nil {
			t.Fatalf("ip addr show: %v: %s", err, out)
		}
		if len(out) == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s still has tentative addresses: %s", name, out)
		}
	}
}

// patience is how long a program may take.
const patience = time.Minute

// Run runs a program to its end and returns what it printed. The test fails
// if the program does.
func Run(t *testing.T, name string, args ...string) (stdout string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.WaitDelay = time.Second
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, &out, &errs)
	}
	return out.String()
}

// A Process is a program that runs beside the test. It ends with the test.
type Process struct {
	t     *testing.T
	cmd   *exec.Cmd
	title string
	lines chan string    // what it printed; closed at the end of its output
	done  chan struct{}  // closed when it has ended
	err   error          // how, after done
	input io.WriteCloser // nil without one

	mu  sync.Mutex
	all []string // everything printed so far, errors too
}

// Start starts a program, with an empty standard input.
func Start(t *testing.T, name string, args ...string) *Process {
	t.Helper()
	return start(t, false, name, args)
}

// Talk starts a program whose standard input is what Say says, until EndInput.
func Talk(t *testing.T, name string, args ...string) *Process {
	t.Helper()
	return start(t, true, name, args)
}

func start(t *testing.T, input bool, name string, args []string) *Process {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	p := &Process{
		t:     t,
		cmd:   exec.CommandContext(ctx, name, args...),
		title: name + " " + strings.Join(args, " "),
		lines: make(chan string, 1024),
		done:  make(chan struct{}),
	}
	p.cmd.WaitDelay = time.Second
	read, write := io.Pipe()
	p.cmd.Stdout, p.cmd.Stderr = write, write
	if input {
		in, err := p.cmd.StdinPipe()
		if err != nil {
			cancel()
			t.Fatalf("%s: %v", p.title, err)
		}
		p.input = in
	}
	if err := p.cmd.Start(); err != nil {
		cancel()
		t.Fatalf("%s: %v", p.title, err)
	}
	go func() {
		defer close(p.done)
		p.err = p.cmd.Wait()
		write.Close()
	}()
	go func() {
		defer close(p.lines)
		for s := bufio.NewScanner(read); s.Scan(); {
			p.mu.Lock()
			p.all = append(p.all, s.Text())
			p.mu.Unlock()
			select {
			case p.lines <- s.Text():
			default: // nobody waits for lines any more
			}
		}
		io.Copy(io.Discard, read) // after a line that is too long
	}()
	t.Cleanup(func() {
		cancel()
		<-p.done
		for range p.lines {
		}
	})
	return p
}

// Expect waits for a line that contains text and returns it.
func (p *Process) Expect(text string) string {
	p.t.Helper()
	for line := range p.lines {
		if strings.Contains(line, text) {
			return line
		}
	}
	<-p.done
	p.t.Fatalf("%s printed no line with %q and ended: %v\n%s", p.title, text, p.err, p.Printed())
	return ""
}

// Wait waits for the program's end. The test fails if the program does.
func (p *Process) Wait() {
	p.t.Helper()
	<-p.done
	if p.err != nil {
		p.t.Fatalf("%s: %v\n%s", p.title, p.err, p.Printed())
	}
}

// Interrupt sends the program what Ctrl-C does.
func (p *Process) Interrupt() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		p.t.Fatalf("interrupt %s: %v", p.title, err)
	}
}

// Say writes to the program's standard input.
func (p *Process) Say(text string) {
	p.t.Helper()
	if _, err := io.WriteString(p.input, text); err != nil {
		p.t.Fatalf("%s does not hear %q: %v\n%s", p.title, text, err, p.Printed())
	}
}

// EndInput closes the program's standard input.
func (p *Process) EndInput() {
	p.t.Helper()
	if err := p.input.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		p.t.Fatalf("%s: close its input: %v", p.title, err)
	}
}

// End waits for the program's end and returns how it ended: nil for success.
func (p *Process) End() error {
	<-p.done
	for range p.lines { // its last lines
	}
	return p.err
}

// Printed returns what the program has printed so far, errors too.
func (p *Process) Printed() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.all, "\n")
}
