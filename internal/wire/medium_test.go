package wire

import (
	"slices"
	"sync"
	"testing"
)

func TestMediumHosts(t *testing.T) {
	var m Medium
	m.Leave("nobody")
	if m.Joined("a") || len(m.Hosts()) != 0 {
		t.Fatal("the zero value is not empty")
	}
	m.Join("a")
	m.Join("a") // both ends in one host
	m.Join("b")
	hosts := m.Hosts()
	slices.SortFunc(hosts, func(x, y any) int { return int(x.(string)[0]) - int(y.(string)[0]) })
	if !slices.Equal(hosts, []any{"a", "b"}) {
		t.Errorf("hosts %v, want a and b", hosts)
	}
	m.Leave("a")
	if !m.Joined("a") {
		t.Error("a has left with one of its two ends")
	}
	m.Leave("a")
	m.Leave("a")
	if m.Joined("a") || !m.Joined("b") {
		t.Error("after leaving: a joined or b gone")
	}
}

func TestMediumObserve(t *testing.T) {
	var m Medium
	var seen []bool
	stop := m.Watch(func() { seen = append(seen, m.Observed()) })
	first, second := m.Observe(), m.Observe()
	first()
	first() // counts once
	if !m.Observed() {
		t.Error("not observed while one observer is left")
	}
	second()
	m.Join(1)
	m.Leave(1)
	m.Leave(1) // no change, no call
	if want := []bool{true, true, true, false, false, false}; !slices.Equal(seen, want) {
		t.Errorf("the watcher saw %v, want %v", seen, want)
	}
	stop()
	stop()
	m.Observe()()
	if len(seen) != 6 {
		t.Error("called after stop")
	}
}

// A watcher may use the medium, and stop itself.
func TestMediumWatcherCalls(t *testing.T) {
	var m Medium
	calls := 0
	var stop func()
	stop = m.Watch(func() {
		calls++
		stop()
		m.Join("x")
		m.Observe()()
	})
	m.Join("y")
	if calls != 1 || !m.Joined("x") {
		t.Errorf("%d calls", calls)
	}
}

func TestMediumConcurrent(t *testing.T) {
	var m Medium
	var work sync.WaitGroup
	for i := range 8 {
		work.Go(func() {
			for range 200 {
				stop := m.Watch(func() { m.Observed() })
				m.Join(i)
				release := m.Observe()
				if !m.Observed() || !m.Joined(i) {
					t.Error("lost an observer or a host")
				}
				release()
				m.Leave(i)
				stop()
			}
		})
	}
	work.Wait()
	if m.Observed() || len(m.Hosts()) != 0 || len(m.watchers) != 0 {
		t.Error("something is left")
	}
}

func BenchmarkMediumObserved(b *testing.B) {
	var m Medium
	m.Observe()
	for b.Loop() {
		if !m.Observed() {
			b.Fatal("not observed")
		}
	}
}
