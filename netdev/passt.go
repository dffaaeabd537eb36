//go:build unix

package netdev

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"usersock/stack/endpoint"
)

// passtMTU is what passt tells its guests: the longest that its framing has.
const passtMTU = 65520

// openPasst starts passt and makes the link to it.
//
// passt (https://passt.top) turns frames into sockets of the host: what this
// stack sends to the outside leaves as if this process had sent it, with no
// privilege, no namespace and no TUN. It is given one end of a socket pair, so
// that there is no path that others could open, and ends when the other end is
// closed.
func openPasst(cfg PasstConfig) (Link, error) {
	sc := SocketConfig{MTU: cfg.MTU, HardwareAddr: cfg.HardwareAddr}
	if err := sc.check(passtMTU); err != nil {
		return nil, err
	}
	path := cfg.Path
	if path == "" {
		var err error
		if path, err = exec.LookPath("passt"); err != nil {
			return nil, fmt.Errorf("it is not installed (Debian: apt-get install passt): %w", endpoint.ENOENT)
		}
	}
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		return nil, fmt.Errorf("socketpair: %w", errnoOf(err))
	}
	syscall.CloseOnExec(fds[0])
	syscall.CloseOnExec(fds[1])
	ours, theirs := os.NewFile(uintptr(fds[0]), "passt"), os.NewFile(uintptr(fds[1]), "passt")
	conn, err := net.FileConn(ours) // a duplicate
	ours.Close()
	if err != nil {
		theirs.Close()
		return nil, hostError(err)
	}
	said := &tail{}
	cmd := exec.Command(path, append([]string{"--foreground", "--quiet", "--stderr", "--fd", "3",
		"--mtu", fmt.Sprint(sc.MTU)}, cfg.Args...)...)
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.Stdout, cmd.Stderr = said, said
	cmd.WaitDelay = time.Second
	err = cmd.Start()
	theirs.Close()
	if err != nil {
		conn.Close()
		return nil, explainPasst(path, pathCause(err))
	}
	d := newFrameDevice(sc.MTU)
	d.conn = conn
	d.text = fmt.Sprintf("passt, process %d, MTU %d", cmd.Process.Pid, sc.MTU)
	p := &passt{frameDevice: d, cmd: cmd, said: said, ended: make(chan struct{})}
	go func() {
		defer close(p.ended)
		p.err = cmd.Wait()
	}()
	d.gone = p.why
	return FromDevice(p, DeviceConfig{Direct: true, HardwareAddr: sc.HardwareAddr}), nil
}

// explainPasst says what to do when the program cannot be started.
func explainPasst(path string, err error) error {
	advice := ""
	switch {
	case errors.Is(err, syscall.ENOENT):
		advice = "there is no such program: name the one that is installed, or leave path out"
	case errors.Is(err, syscall.EACCES):
		advice = "it is no program that this user may run (chmod +x)"
	case errors.Is(err, syscall.ENOEXEC):
		advice = "it is no program for this machine"
	}
	return explained("start "+path, advice, err)
}

func pathCause(err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// passt is the device of a passt process, which it owns.
type passt struct {
	*frameDevice
	cmd   *exec.Cmd
	said  *tail
	ended chan struct{}
	err   error // how it ended, after ended
}

// why says what a passt that has gone had to say. It has closed its end, so
// that it is about to end.
func (p *passt) why() error {
	<-p.ended
	text := p.said.String()
	if text == "" {
		text = "without a word"
	}
	if p.err != nil {
		return fmt.Errorf("passt ended (%w): %s", p.err, text)
	}
	return fmt.Errorf("passt ended: %s", text)
}

// Close implements [Device]: it ends passt and waits for it.
func (p *passt) Close() error {
	p.cmd.Process.Kill()
	err := p.frameDevice.Close()
	<-p.ended
	return err
}

// tail keeps the last that a program wrote.
type tail struct {
	mu sync.Mutex
	b  []byte
}

// tailLen is how much is kept, in bytes.
const tailLen = 512

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, p...)
	if len(t.b) > tailLen {
		t.b = t.b[len(t.b)-tailLen:]
	}
	return len(p), nil
}

// String returns it in one line.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(strings.FieldsFunc(string(t.b), func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}
