package endpoint

import (
	"bytes"
	"encoding/binary"
	"math"
	"testing"
	"time"
)

func TestInt(t *testing.T) {
	for _, v := range []int{0, 1, -1, math.MaxInt32, math.MinInt32, 0x01020304} {
		var whole [4]byte
		binary.NativeEndian.PutUint32(whole[:], uint32(v))
		for size := range 7 {
			buf := bytes.Repeat([]byte{0xEE}, size)
			n := PutInt(buf, v)
			if n != min(size, 4) || !bytes.Equal(buf[:n], whole[:n]) {
				t.Errorf("PutInt(%d) into %d bytes: % x, %d", v, size, buf, n)
			}
			for _, b := range buf[n:] {
				if b != 0xEE {
					t.Errorf("PutInt(%d) into %d bytes wrote past its result: % x", v, size, buf)
				}
			}
			got, err := Int(append(whole[:min(size, 4):min(size, 4)], make([]byte, max(size-4, 0))...))
			if size < 4 && err != EINVAL || size >= 4 && (err != nil || got != v) {
				t.Errorf("Int of %d bytes: %d, %v", size, got, err)
			}
		}
	}
}

func TestPutCred(t *testing.T) {
	buf := make([]byte, 16)
	n := PutCred(buf, Cred{Pid: -2, Uid: 3, Gid: math.MaxUint32})
	if n != 12 || binary.NativeEndian.Uint32(buf) != math.MaxUint32-1 ||
		binary.NativeEndian.Uint32(buf[4:]) != 3 || binary.NativeEndian.Uint32(buf[8:]) != math.MaxUint32 {
		t.Errorf("PutCred: % x, %d", buf, n)
	}
	if n := PutCred(buf[:5], Cred{}); n != 5 {
		t.Errorf("PutCred into 5 bytes wrote %d", n)
	}
}

func TestLinger(t *testing.T) {
	for _, c := range []struct {
		on bool
		d  time.Duration
	}{{false, 0}, {true, 0}, {true, 5 * time.Second}, {false, 7 * time.Second}} {
		var buf [8]byte
		if n := PutLinger(buf[:], c.on, c.d); n != 8 {
			t.Errorf("PutLinger wrote %d bytes", n)
		}
		if on, d, err := Linger(buf[:]); on != c.on || d != c.d || err != nil {
			t.Errorf("Linger(%v, %v) came back as %v, %v, %v", c.on, c.d, on, d, err)
		}
	}
	if _, _, err := Linger(make([]byte, 7)); err != EINVAL {
		t.Errorf("Linger of 7 bytes: %v", err)
	}
	var buf [8]byte
	PutLinger(buf[:], true, 1999*time.Millisecond)
	if _, d, _ := Linger(buf[:]); d != time.Second {
		t.Errorf("a linger time of 1.999 s is told as %v, want whole seconds", d)
	}
}

func TestTimeval(t *testing.T) {
	word := func(v int64) []byte {
		if wordSize == 8 {
			return binary.NativeEndian.AppendUint64(nil, uint64(v))
		}
		return binary.NativeEndian.AppendUint32(nil, uint32(v))
	}
	for _, d := range []time.Duration{0, time.Microsecond, 1500 * time.Millisecond, 100 * time.Hour} {
		buf := make([]byte, 20)
		n := PutTimeval(buf, d)
		if n != 2*wordSize {
			t.Errorf("PutTimeval wrote %d bytes", n)
		}
		if got, err := Timeval(buf[:n]); got != d || err != nil {
			t.Errorf("Timeval of %v: %v, %v", d, got, err)
		}
	}
	for _, c := range []struct {
		sec, usec int64
		want      time.Duration
		err       error
	}{
		{1, 999_999, 1_999_999 * time.Microsecond, nil},
		{1, 1_000_000, 0, EDOM},
		{1, -1, 0, EDOM},
		{-3, 5, -3*time.Second + 5*time.Microsecond, nil},
	} {
		got, err := Timeval(append(word(c.sec), word(c.usec)...))
		if got != c.want || err != c.err {
			t.Errorf("Timeval{%d, %d}: %v, %v; want %v, %v", c.sec, c.usec, got, err, c.want, c.err)
		}
	}
	if wordSize == 8 {
		if got, err := Timeval(append(word(math.MaxInt64), word(0)...)); got != 0 || err != nil {
			t.Errorf("Timeval of the longest time: %v, %v; want 0, for ever", got, err)
		}
	}
	if _, err := Timeval(make([]byte, 2*wordSize-1)); err != EINVAL {
		t.Errorf("Timeval of too few bytes: %v", err)
	}
}

func TestMessageLen(t *testing.T) {
	bufs := [][]byte{nil, make([]byte, 3), {}, make([]byte, 4)}
	if n := (Message{Bufs: bufs}).Len(); n != 7 {
		t.Errorf("Message.Len: %d", n)
	}
	if n := (RecvRequest{Bufs: bufs}).Len(); n != 7 {
		t.Errorf("RecvRequest.Len: %d", n)
	}
	if n := (RecvRequest{}).Len(); n != 0 {
		t.Errorf("RecvRequest.Len without buffers: %d", n)
	}
}

func TestSystemClock(t *testing.T) {
	c := SystemClock()
	before := c.Monotonic()
	fired := make(chan struct{})
	timer := c.AfterFunc(time.Hour, func() { close(fired) })
	timer.Reset(0)
	<-fired
	if timer.Stop() {
		t.Error("Stop prevented a call that came")
	}
	if after := c.Monotonic(); after < before {
		t.Errorf("Monotonic went back from %v to %v", before, after)
	}
	if d := time.Since(c.Now()); d > time.Hour || d < -time.Hour {
		t.Errorf("Now is %v off", d)
	}
}

// TestTimevalFarPast: a time that counts backwards further than a Duration goes
// is negative still.
func TestTimevalFarPast(t *testing.T) {
	for _, sec := range []int64{-1, -1 << 30, -1 << 34, -1 << 63} {
		if wordSize == 4 && sec < -1<<31 {
			continue
		}
		var b [2 * wordSize]byte
		putWord(b[:wordSize], uint64(sec))
		putWord(b[wordSize:], 999999)
		if d, err := Timeval(b[:]); err != nil || d >= 0 {
			t.Errorf("%d s: %v, %v; want less than 0", sec, d, err)
		}
	}
}
