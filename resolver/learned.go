package resolver

import (
	"net/netip"
	"slices"
)

// whom is whom to ask and which domains to add to a name. Nobody changes it.
type whom struct {
	servers []*server // at least one
	search  []string

	// What Config.Learned said when it was made.
	learnedServers []netip.AddrPort
	learnedSearch  []string
}

// current returns whom to ask from now on. When the servers are others than at
// the last call, what the cache knows is forgotten: the networks before and
// after may disagree on names.
func (r *Resolver) current() *whom {
	for {
		w := r.whom.Load()
		if r.learned == nil {
			return w
		}
		servers, search := r.learned()
		if slices.Equal(servers, w.learnedServers) && slices.Equal(search, w.learnedSearch) {
			return w
		}
		next := r.makeWhom(w, servers, search)
		if !r.whom.CompareAndSwap(w, next) {
			continue
		}
		if !slices.Equal(next.servers, w.servers) {
			r.cache.flush()
		}
		for _, s := range w.servers {
			if !slices.Contains(next.servers, s) {
				s.stream.Close() // what is asked there over TCP fails
			}
		}
		return next
	}
}

// makeWhom puts what was configured before what was learnt. A server that was
// there before, if there was one, stays what it is.
func (r *Resolver) makeWhom(before *whom, servers []netip.AddrPort, search []string) *whom {
	w := &whom{search: r.conf.search, learnedServers: servers, learnedSearch: search}
	if r.conf.ownServers || len(servers) == 0 {
		servers = r.conf.servers
	}
	for _, addr := range servers {
		var s *server
		if before != nil {
			if i := slices.IndexFunc(before.servers, func(s *server) bool { return s.addr == addr }); i >= 0 {
				s = before.servers[i]
			}
		}
		if s == nil {
			s = r.newServer(addr)
		}
		w.servers = append(w.servers, s)
	}
	if !r.conf.ownSearch && len(search) > 0 {
		w.search = search
	}
	return w
}
