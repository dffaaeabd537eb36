// Package framing cuts a stream of bytes into Ethernet frames, as QEMU's
// stream and socket back ends, passt and libkrun write them: before each frame
// stands its length in 4 bytes, the highest first.
package framing

import (
	"encoding/binary"
	"fmt"
)

// HeaderLen is the length of what stands before a frame, in bytes.
const HeaderLen = 4

// MaxFrame is the length of the longest frame that a [Splitter] takes: an IP
// packet of 65535 bytes behind an Ethernet header with a VLAN tag.
const MaxFrame = 65535 + 18

// AppendHeader appends what stands before a frame of n bytes.
func AppendHeader(b []byte, n int) []byte {
	return binary.BigEndian.AppendUint32(b, uint32(n))
}

// LengthError is a length that no frame has. A stream that has one cannot be
// read further: where the next frame begins is not known.
type LengthError uint32

func (e LengthError) Error() string {
	return fmt.Sprintf("a frame of %d bytes, more than %d: this is no stream of frames", uint32(e), MaxFrame)
}

// A Splitter reads frames from bytes as they come, in pieces of any length.
// Its zero value is ready. It holds at most one frame that is not yet whole.
type Splitter struct {
	part []byte // of a frame, with its header
}

// Write hands each frame that is whole with b to frame, which does not keep
// it. Frames may be empty. After an error the stream is of no more use.
func (s *Splitter) Write(b []byte, frame func([]byte)) error {
	for len(b) > 0 {
		if len(s.part) == 0 { // whole frames need no copy
			n, ok, err := next(b)
			if err != nil {
				return err
			}
			if ok {
				frame(b[HeaderLen:n])
				b = b[n:]
				continue
			}
		}
		want := HeaderLen
		if len(s.part) >= HeaderLen {
			want = HeaderLen + int(binary.BigEndian.Uint32(s.part))
		}
		take := min(want-len(s.part), len(b))
		s.part = append(s.part, b[:take]...)
		b = b[take:]
		n, ok, err := next(s.part)
		if err != nil {
			return err
		}
		if ok {
			frame(s.part[HeaderLen:n])
			s.part = s.part[:0]
		}
	}
	return nil
}

// next returns the length of the frame at the start of b with its header, and
// whether all of it is there.
func next(b []byte) (n int, ok bool, err error) {
	if len(b) < HeaderLen {
		return 0, false, nil
	}
	size := binary.BigEndian.Uint32(b)
	if size > MaxFrame {
		return 0, false, LengthError(size)
	}
	n = HeaderLen + int(size)
	return n, len(b) >= n, nil
}
