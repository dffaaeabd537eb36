package stack

import (
	"fmt"
	"io"

	"gvisor.dev/gvisor/pkg/tcpip"

	"usersock/stack/endpoint"
)

// MetricKind says how a metric moves.
type MetricKind int

// The kinds of metrics.
const (
	Counter MetricKind = iota + 1 // only grows
	Gauge                         // goes up and down
)

func (k MetricKind) String() string {
	switch k {
	case Counter:
		return "counter"
	case Gauge:
		return "gauge"
	}
	return fmt.Sprintf("metric kind %d", int(k))
}

// MarshalText implements encoding.TextMarshaler.
func (k MetricKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler: EINVAL for another text.
func (k *MetricKind) UnmarshalText(text []byte) error {
	for _, kind := range [...]MetricKind{Counter, Gauge} {
		if kind.String() == string(text) {
			*k = kind
			return nil
		}
	}
	return fmt.Errorf("stack: %q is no kind of metric: %w", text, endpoint.EINVAL)
}

// Metric is one number.
type Metric struct {
	// Name is in the style of Prometheus, with the words of its node exporter:
	// usersock_netstat_Tcp_ActiveOpens, usersock_network_receive_bytes_total.
	Name string

	// Label tells metrics of one name apart, as device="eth0"; "" where there is
	// one.
	Label string

	// Linux is the name that nstat(8) prints, TcpActiveOpens; "" where Linux has
	// none.
	Linux string

	Help  string // what is counted, and where that is not what Linux counts
	Kind  MetricKind
	Value uint64
}

// String returns the line of the text format of Prometheus.
func (m Metric) String() string {
	if m.Label == "" {
		return fmt.Sprintf("%s %d", m.Name, m.Value)
	}
	return fmt.Sprintf("%s{%s} %d", m.Name, m.Label, m.Value)
}

// reading is what the metrics are taken from.
type reading struct {
	tcpip.Stats
	v4, v6                ipCounts
	streams, datagrams, u int
}

// definition is a metric without its value.
type definition struct {
	Metric
	family int // of the host that has it; 0: any
	read   func(*reading) uint64
}

// netstat is a counter with a Linux name of two parts.
func netstat(family int, group, name, help string, read func(*reading) uint64) definition {
	return definition{Metric{Name: "usersock_netstat_" + group + "_" + name, Linux: group + name, Help: help, Kind: Counter}, family, read}
}

// sockets is the number of endpoints that programs hold.
func sockets(protocol string, read func(*reading) uint64) definition {
	return definition{Metric{Name: "usersock_sockets", Label: fmt.Sprintf("protocol=%q", protocol), Help: "open sockets", Kind: Gauge}, 0, read}
}

// devices are the metrics of an interface.
var devices = [...]struct {
	name, help string
	read       func(*InterfaceCounters) uint64
}{
	{"usersock_network_receive_packets_total", "packets received", func(c *InterfaceCounters) uint64 { return c.RxPackets }},
	{"usersock_network_receive_bytes_total", "bytes received", func(c *InterfaceCounters) uint64 { return c.RxBytes }},
	{"usersock_network_receive_errs_total", "packets received malformed or too long", func(c *InterfaceCounters) uint64 { return c.RxErrors }},
	{"usersock_network_receive_drop_total", "packets received and not wanted", func(c *InterfaceCounters) uint64 { return c.RxDropped }},
	{"usersock_network_receive_missed_total", "packets received faster than they were taken", func(c *InterfaceCounters) uint64 { return c.RxMissed }},
	{"usersock_network_transmit_packets_total", "packets sent", func(c *InterfaceCounters) uint64 { return c.TxPackets }},
	{"usersock_network_transmit_bytes_total", "bytes sent", func(c *InterfaceCounters) uint64 { return c.TxBytes }},
	{"usersock_network_transmit_errs_total", "packets that the link refused", func(c *InterfaceCounters) uint64 { return c.TxErrors }},
	{"usersock_network_transmit_drop_total", "packets sent while the other end was gone", func(c *InterfaceCounters) uint64 { return c.TxDropped }},
}

// Metrics reads the counters and gauges of the host, always in the same order:
// the protocols', then the interfaces', those of one name together. It looks at no socket: its cost depends on
// the number of interfaces alone. What netstack does not count is not there.
//
// Counters never go back while the stack lives, but an interface's end with it.
// Each is read on its own, so that sums of several need not agree.
func (s *Stack) Metrics() []Metric {
	r := reading{Stats: s.net.Stats()}
	totals := s.counters.totals()
	r.v4, r.v6 = totals[0], totals[1]
	r.streams, r.datagrams = s.inet.Count()
	if s.unix != nil {
		r.u = s.unix.Count()
	}
	nics := s.counters.all()
	list := make([]Metric, 0, len(definitions)+len(nics)*len(devices))
	for i := range definitions {
		d := &definitions[i]
		if d.family != 0 && !s.cfg.serves(d.family) {
			continue
		}
		m := d.Metric
		m.Value = d.read(&r)
		list = append(list, m)
	}
	counts := make([]InterfaceCounters, len(nics))
	for i, n := range nics {
		drops := n.lost()
		counts[i] = n.read(&drops)
	}
	for i := range devices {
		d := &devices[i]
		for j := range nics {
			list = append(list, Metric{Name: d.name, Label: nics[j].label, Help: d.help, Kind: Counter, Value: d.read(&counts[j])})
		}
	}
	return list
}

// WriteMetrics writes metrics in the text format of Prometheus, version 0.0.4.
// It returns the writer's error.
func WriteMetrics(w io.Writer, list []Metric) error {
	last := ""
	for _, m := range list {
		if m.Name != last {
			if _, err := fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s %v\n", m.Name, m.Help, m.Name, m.Kind); err != nil {
				return err
			}
			last = m.Name
		}
		if _, err := fmt.Fprintln(w, m); err != nil {
			return err
		}
	}
	return nil
}
