package virtual

import (
	"encoding/binary"
	"math/rand/v2"
	"sync"
)

// NewSource returns the random numbers of one host: a PCG that is seeded by
// the network's seed, the host's name and how many hosts of that name there
// were before (a host that crashed and came back draws anew). Hosts do not
// influence each other's numbers. They are not fit for secrets.
func NewSource(seed uint64, host string, incarnation uint64) Source {
	s := new(source)
	s.pcg.Seed(mix(seed), hashString(host)^mix(incarnation))
	return s
}

// source is a PCG for many goroutines.
type source struct {
	mu  sync.Mutex
	pcg rand.PCG
}

func (s *source) Uint64() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pcg.Uint64()
}

func (s *source) Int63() int64 { return int64(s.Uint64() >> 1) }

// Seed does nothing: whoever made the source chose the seed.
func (s *source) Seed(int64) {}

// Read fills p. It never fails.
func (s *source) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for b := p; len(b) > 0; {
		var word [8]byte
		binary.LittleEndian.PutUint64(word[:], s.pcg.Uint64())
		b = b[copy(b, word[:]):]
	}
	return len(p), nil
}

// Draw returns the random number that decides the fate of one packet: the
// nth of its flow in one direction of a link. It depends on nothing else, so
// that a packet more or less of one flow changes nothing for another. kind
// tells several decisions about the same packet apart (lost, delayed, …).
func Draw(seed, link uint64, direction int, flow Flow, nth, kind uint64) uint64 {
	h := mix(seed)
	for _, word := range [...]uint64{link, uint64(direction), uint64(flow), nth, kind} {
		h = mix(h ^ word)
	}
	return h
}

// Fraction turns a random number into one from 0 up to but not including 1.
func Fraction(x uint64) float64 { return float64(x>>11) / (1 << 53) }

// mix is the output function of SplitMix64 (Steele, Lea and Flood, 2014), a
// bijection in which every bit of the argument changes half of the result's.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// FNV-1a of 64 bits.
const (
	fnvBasis = 14695981039346656037
	fnvPrime = 1099511628211
)

func hashString(s string) uint64 {
	h := uint64(fnvBasis)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * fnvPrime
	}
	return h
}

func hashBytes(h uint64, b []byte) uint64 {
	for _, c := range b {
		h = (h ^ uint64(c)) * fnvPrime
	}
	return h
}
