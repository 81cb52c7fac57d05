package dataset

import "context"

// keyed says where the change set with a key is logged.
func (s *state) keyed(ctx context.Context, key string) (keyAt, bool, error) {
	if key == "" {
		return keyAt{}, false, nil
	}
	at, ok := s.write.log.keys[key]
	return at, ok, nil
}

// readKeyed reads the entry of a key again.
func (s *state) readKeyed(ctx context.Context, at keyAt) (*entry, error) {
	return s.write.log.read(at)
}

// foldedEvents calls f for the folded events of a query that come before entry first, newest first.
func (s *state) foldedEvents(ctx context.Context, q HistoryQuery, first uint64, f func(Event) bool) error {
	return nil
}
