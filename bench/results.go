package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// A value is one figure that a work gives.
type value struct {
	unit  string
	n     float64
	fewer bool // less is better
}

// series is one figure of one work on one system, a number a round.
type series struct {
	fewer bool
	n     []float64
}

// results holds the series by work, unit and system.
type results map[string]map[string]map[string]*series

func (r results) add(work string, v value, system string) {
	if r[work] == nil {
		r[work] = map[string]map[string]*series{}
	}
	if r[work][v.unit] == nil {
		r[work][v.unit] = map[string]*series{}
	}
	s := r[work][v.unit][system]
	if s == nil {
		s = &series{fewer: v.fewer}
		r[work][v.unit][system] = s
	}
	s.n = append(s.n, v.n)
}

// print writes a table for each work and unit.
func (r results) print(w io.Writer, o options) {
	width := 0
	for _, name := range o.systems {
		width = max(width, len(name))
	}
	for _, work := range works {
		for _, unit := range sortedKeys(r[work.name]) {
			bySystem := r[work.name][unit]
			better := "more"
			for _, s := range bySystem {
				if s.fewer {
					better = "less"
				}
			}
			fmt.Fprintf(w, "\n%s: %s, %s is better (%s)\n", work.name, unit, better, work.what)
			fmt.Fprintf(w, "  %-*s %12s %12s %12s   %-22s %s\n", width, "", "median", "minimum", "maximum", "times kernel", "times raw")
			for _, system := range o.systems {
				s := bySystem[system]
				if s == nil {
					continue
				}
				fmt.Fprintf(w, "  %-*s %12s %12s %12s   %-22s %s\n", width, system,
					figure(median(s.n)), figure(slices.Min(s.n)), figure(slices.Max(s.n)),
					times(s, bySystem["kernel"]), times(s, bySystem["raw"]))
			}
		}
	}
}

// lines writes every measurement in Go's benchmark format.
func (r results) lines(w io.Writer, o options) {
	for _, work := range works {
		for _, unit := range sortedKeys(r[work.name]) {
			for _, system := range o.systems {
				if s := r[work.name][unit][system]; s != nil {
					for _, n := range s.n {
						name := strings.ToUpper(work.name[:1]) + work.name[1:]
						fmt.Fprintf(w, "Benchmark%s/system=%s 1 %g %s\n", name, system, n, strings.ReplaceAll(unit, " ", "-"))
					}
				}
			}
		}
	}
}

func sortedKeys(m map[string]map[string]*series) (keys []string) {
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// times is the median, minimum and maximum of the ratios of s to base within
// each round; "" for a series and itself.
func times(s, base *series) string {
	if base == nil || base == s || len(base.n) != len(s.n) || slices.Contains(base.n, 0) {
		return ""
	}
	ratios := make([]float64, len(s.n))
	for i := range ratios {
		ratios[i] = s.n[i] / base.n[i]
	}
	return fmt.Sprintf("%.2f (%.2f to %.2f)", median(ratios), slices.Min(ratios), slices.Max(ratios))
}

// median returns the middle of n, which is not empty.
func median(n []float64) float64 {
	sorted := slices.Sorted(slices.Values(n))
	half := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[half]
	}
	return (sorted[half-1] + sorted[half]) / 2
}

func figure(n float64) string {
	switch {
	case n >= 1000 || n <= -1000:
		return fmt.Sprintf("%.0f", n)
	case n >= 100 || n <= -100:
		return fmt.Sprintf("%.1f", n)
	}
	return fmt.Sprintf("%.2f", n)
}
