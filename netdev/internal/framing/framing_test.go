package framing

import (
	"bytes"
	"errors"
	"testing"
)

func stream(sizes ...int) (b []byte, frames [][]byte) {
	for i, n := range sizes {
		f := bytes.Repeat([]byte{byte(i + 1)}, n)
		b = append(AppendHeader(b, n), f...)
		frames = append(frames, f)
	}
	return b, frames
}

// TestCuts feeds a stream cut at every byte.
func TestCuts(t *testing.T) {
	b, want := stream(60, 0, 1, 1514, 2)
	for cut := range b {
		var s Splitter
		var got [][]byte
		for _, part := range [][]byte{b[:cut], b[cut:]} {
			if err := s.Write(part, func(f []byte) { got = append(got, bytes.Clone(f)) }); err != nil {
				t.Fatal(err)
			}
		}
		if len(got) != len(want) {
			t.Fatalf("cut at %d: %d frames, want %d", cut, len(got), len(want))
		}
		for i := range want {
			if !bytes.Equal(got[i], want[i]) {
				t.Fatalf("cut at %d: frame %d differs", cut, i)
			}
		}
	}
}

func TestLength(t *testing.T) {
	for _, n := range []int{MaxFrame + 1, 1<<31 - 1} {
		for _, cut := range []int{0, 1, 3, 4} {
			var s Splitter
			b := AppendHeader(nil, n)
			err := s.Write(b[:cut], nil)
			if err == nil {
				err = s.Write(b[cut:], nil)
			}
			var length LengthError
			if cut < 4 && (!errors.As(err, &length) || int(length) != n) {
				t.Errorf("a length of %d: %v", n, err)
			}
		}
	}
	var s Splitter
	b, _ := stream(MaxFrame)
	got := 0
	if err := s.Write(b, func(f []byte) { got = len(f) }); err != nil || got != MaxFrame {
		t.Errorf("the longest frame: %d bytes, %v", got, err)
	}
}

// FuzzSplitter: however a stream is cut, the frames are the same, and no more
// bytes come out than go in.
func FuzzSplitter(f *testing.F) {
	b, _ := stream(60, 0, 1514)
	f.Add(b, 7)
	f.Add([]byte{0, 1, 0xff, 0xff, 1}, 1)
	f.Fuzz(func(t *testing.T, b []byte, step int) {
		if step <= 0 {
			return
		}
		var whole, parts bytes.Buffer
		note := func(w *bytes.Buffer) func([]byte) {
			return func(f []byte) { w.Write(append(AppendHeader(nil, len(f)), f...)) }
		}
		var a, c Splitter
		err := a.Write(b, note(&whole))
		var perr error
		for rest := b; len(rest) > 0 && perr == nil; {
			n := min(step, len(rest))
			perr = c.Write(rest[:n], note(&parts))
			rest = rest[n:]
		}
		if !bytes.Equal(whole.Bytes(), parts.Bytes()) || (err == nil) != (perr == nil) {
			t.Errorf("%d and %d bytes, %v and %v", whole.Len(), parts.Len(), err, perr)
		}
		if whole.Len() > len(b) {
			t.Errorf("%d bytes of %d", whole.Len(), len(b))
		}
	})
}
