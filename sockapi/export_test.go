package sockapi

// Waiting reports whether a call on s's open socket has tried and now waits.
func Waiting(s *Socket) bool { return s.desc.file.watching.Load() > 0 }
