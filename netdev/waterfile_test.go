//go:build linux || darwin || windows

package netdev

import (
	"errors"
	"io"
	"runtime"
	"sync"
	"testing"
)

// fakeWater imitates what water returns: packets come from a channel, with
// the count that macOS's Read reports; Close wakes a Read only if wakes.
type fakeWater struct {
	packets chan fakeRead
	wakes   bool

	mu      sync.Mutex
	waiting bool
	closed  bool
	cancel  chan struct{}
}

type fakeRead struct {
	packet []byte
	n      int
	err    error
}

func (f *fakeWater) Read(b []byte) (int, error) {
	f.mu.Lock()
	f.waiting = true
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		f.waiting = false
		f.mu.Unlock()
	}()
	select {
	case r := <-f.packets:
		copy(b, r.packet)
		return r.n, r.err
	case <-f.cancel:
		return -4, errors.New("cancelled")
	}
}

func (f *fakeWater) Write(b []byte) (int, error) { return len(b), nil }

func (f *fakeWater) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		panic("closed twice")
	}
	f.closed = true
	if f.wakes {
		close(f.cancel)
	}
	return nil
}

var _ io.ReadWriteCloser = (*fakeWater)(nil)

func newFakeWater(wakes bool) *fakeWater {
	return &fakeWater{packets: make(chan fakeRead), wakes: wakes, cancel: make(chan struct{})}
}

// macOS: counts are negative or too large, with and without an error.
func TestWaterCounts(t *testing.T) {
	f := newFakeWater(true)
	tun, err := newTUN(&waterFile{f: f}, "utun0", 1500)
	if err != nil {
		t.Fatal(err)
	}
	d := newBlocked()
	close(d.release)
	tun.Attach(d)
	good := outgoing(t, 17, 100).ToView().ToSlice()
	f.packets <- fakeRead{nil, -4, nil}
	f.packets <- fakeRead{nil, 0, nil}
	f.packets <- fakeRead{good, len(good), nil}
	f.packets <- fakeRead{good, maxPacket + 4, nil}
	f.packets <- fakeRead{good, len(good), nil}
	f.packets <- fakeRead{nil, -4, io.ErrUnexpectedEOF}
	<-tun.done
	if !errors.Is(tun.err(), io.ErrUnexpectedEOF) {
		t.Errorf("the link ended with %v", tun.err())
	}
	if got := Dropped(tun); got != (Drops{RxMalformed: 2, RxTooLong: 1}) || len(d.sizes) != 2 {
		t.Errorf("drops %+v, %d packets", got, len(d.sizes))
	}
	Close(tun)
	if !f.closed {
		t.Error("the file is open")
	}
}

// A Read that Close wakes, and Windows', which needs to be cancelled; each
// while it waits and before it does.
func TestWaterClose(t *testing.T) {
	for _, wakes := range []bool{true, false} {
		for _, reading := range []bool{true, false} {
			f := newFakeWater(wakes)
			w := &waterFile{f: f}
			if !wakes {
				tries := 0
				var once sync.Once
				w.cancel = func() error {
					f.mu.Lock()
					defer f.mu.Unlock()
					if tries++; !f.waiting || tries < 3 {
						return errNothingWaits
					}
					once.Do(func() { close(f.cancel) })
					return nil
				}
			}
			tun, err := newTUN(w, "utun0", 1500)
			if err != nil {
				t.Fatal(err)
			}
			tun.Attach(newBlocked())
			for reading {
				f.mu.Lock()
				waiting := f.waiting
				f.mu.Unlock()
				if waiting {
					break
				}
				runtime.Gosched()
			}
			Close(tun)
			select {
			case <-tun.done:
			default:
				t.Error("the reader outlives the close")
			}
			if !f.closed || tun.err() != nil {
				t.Errorf("closed %v, %v", f.closed, tun.err())
			}
			Close(tun)
		}
	}
}

// Where nothing can be cancelled, Close does not wait for the reader.
func TestWaterCloseAbandons(t *testing.T) {
	f := newFakeWater(false)
	tun, err := newTUN(&waterFile{f: f, cancel: func() error { return errors.New("no") }}, "x", 1500)
	if err != nil {
		t.Fatal(err)
	}
	d := newBlocked()
	tun.Attach(d)
	Close(tun)
	if !f.closed {
		t.Error("the file is open")
	}
	// A packet that comes after all reaches nobody.
	select {
	case f.packets <- fakeRead{outgoing(t, 17, 100).ToView().ToSlice(), 120, nil}:
	case <-tun.done: // it had not begun to read
	}
	<-tun.done
	if len(d.entered) != 0 {
		t.Error("a packet was delivered after the close")
	}
}
