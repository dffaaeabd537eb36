//go:build linux || darwin || windows

package netdev

import (
	"errors"
	"io"
	"runtime"
)

// waterFile is an interface that package water has opened, with its faults
// repaired:
//
//   - On macOS Read subtracts the length of a header from what it has read,
//     even if that is nothing: the count may be negative, with an error or
//     without. Here a count is never negative, nor longer than the buffer.
//   - On Windows a Read that waits is not woken by Close. Here what waits is
//     cancelled first, see cancel.
//   - An empty packet, and one of neither version of IP, is an error of Write on
//     macOS only. The link never sends one.
//
// What cannot be repaired from outside, a descriptor that a failed open leaks,
// is avoided as far as possible by looking before opening.
type waterFile struct {
	f io.ReadWriteCloser

	// cancel, if Close does not wake a Read by itself, cancels one that waits
	// in the kernel. It returns errNothingWaits if there was none, and another
	// error if it cannot cancel at all.
	cancel func() error
}

// errNothingWaits is cancel's answer between two Reads.
var errNothingWaits = errors.New("no read waits")

func (w *waterFile) Read(packet []byte) (int, error) {
	n, err := w.f.Read(packet)
	if err != nil {
		return 0, err
	}
	return max(0, min(n, len(packet))), nil
}

func (w *waterFile) Write(packet []byte) error {
	_, err := w.f.Write(packet)
	return err
}

// Close closes the file. The reader looks at the link's state before each
// Read, so that it ends after the one that is cancelled here. It may be just
// before that Read, and what was cancelled may have been a Write: hence the
// loop.
func (w *waterFile) Close(reader <-chan struct{}) bool {
	defer w.f.Close()
	if w.cancel == nil {
		return true
	}
	for {
		select {
		case <-reader:
			return true
		default:
		}
		switch err := w.cancel(); err {
		case nil, errNothingWaits:
			runtime.Gosched()
		default:
			return false
		}
	}
}
