// Package expvarstat shows a host's metrics by the standard library's expvar:
// [Publish] puts them under a name on /debug/vars, [Var] is the variable alone, for
// a handler or a map of one's own.
//
// It is a package apart because importing expvar adds a handler to
// http.DefaultServeMux, which package stack shall not do. Programs that have
// another way to collect metrics call [stack.Stack.Metrics].
package expvarstat

import (
	"encoding/json"
	"expvar"
	"fmt"

	"usersock/stack"
	"usersock/stack/endpoint"
)

// Publish shows the metrics of s under a name. expvar never forgets a variable, so
// the name is taken, and s is kept in memory, until the program ends. EEXIST if
// the name is taken already, EINVAL if it is empty.
func Publish(name string, s *stack.Stack) error {
	switch {
	case name == "":
		return fmt.Errorf("expvarstat: publish without a name: %w", endpoint.EINVAL)
	case expvar.Get(name) != nil:
		return fmt.Errorf("expvarstat: publish %q: %w", name, endpoint.EEXIST)
	}
	expvar.Publish(name, Var(s))
	return nil
}

// Var returns a variable whose value is a JSON object with a member for each
// metric: its name and label, as "usersock_sockets{protocol=\"tcp\"}", and its
// value. The metrics are read each time that it is printed.
func Var(s *stack.Stack) expvar.Var { return metrics{s} }

type metrics struct{ s *stack.Stack }

var _ expvar.Var = metrics{}

// String implements expvar.Var: the members in the order of Metrics.
func (v metrics) String() string {
	b := []byte{'{'}
	for i, m := range v.s.Metrics() {
		if i > 0 {
			b = append(b, ", "...)
		}
		key := m.Name
		if m.Label != "" {
			key += "{" + m.Label + "}"
		}
		quoted, _ := json.Marshal(key) // a string never fails
		b = append(b, quoted...)
		b = fmt.Appendf(b, ": %d", m.Value)
	}
	return string(append(b, '}'))
}
