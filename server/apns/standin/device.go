package standin

import (
	"encoding/hex"
	"encoding/json"
	"net/http"
	"time"
)

const (
	// maxToken is the longest device token, in bytes; Apple's have 32 and may grow.
	maxToken = 100
	// maxQueue bounds what waits for an open stream that does not read.
	maxQueue = 64
)

// device is one registered token. All fields are guarded by Server.mu.
type device struct {
	topic  string
	gone   time.Time // when it was unregistered; zero while it is registered
	queue  []string  // push magics to deliver; at most one without a stream
	stream *stream   // nil while the device is not connected
}

// stream is one connection of a device.
type stream struct {
	wake chan struct{} // has room for one: something is queued
	over chan struct{} // closed when another stream took its place or the token went
}

// accept takes a push for a registered token: to the open stream, or kept until the
// device connects, then the last one only, as APNs does.
func (s *Server) accept(token, topic, magic string) *refusal {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.devices[token]
	switch {
	case d == nil && s.opts.AcceptUnknown:
		d = &device{topic: topic}
		s.devices[token] = d
	case d == nil:
		return &refusal{status: http.StatusBadRequest, reason: "BadDeviceToken"}
	case !d.gone.IsZero():
		return &refusal{status: http.StatusGone, reason: "Unregistered", timestamp: d.gone}
	case d.topic != topic:
		return &refusal{status: http.StatusBadRequest, reason: "DeviceTokenNotForTopic"}
	}
	s.stats.Accepted++
	if d.stream == nil {
		d.queue = append(d.queue[:0], magic)
		return nil
	}
	if len(d.queue) == maxQueue {
		d.queue = d.queue[1:]
	}
	d.queue = append(d.queue, magic)
	d.stream.signal()
	return nil
}

func (st *stream) signal() {
	select {
	case st.wake <- struct{}{}:
	default: // it has been told already
	}
}

// stream is the device side: GET /device/{token}?topic=… registers the token for the
// topic and answers with one JSON object a line, {"mdm": magic}, for each push, and an
// empty line now and then. It ends when the device hangs up, connects again elsewhere,
// or unregisters.
func (s *Server) stream(w http.ResponseWriter, r *http.Request) {
	raw, err := hex.DecodeString(r.PathValue("token"))
	topic := r.URL.Query().Get("topic")
	if err != nil || len(raw) == 0 || len(raw) > maxToken || topic == "" {
		http.Error(w, "a token in hexadecimal and a topic are needed", http.StatusBadRequest)
		return
	}
	token := hex.EncodeToString(raw)
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("Cache-Control", "no-store")
	d, st := s.open(token, topic)
	defer s.leave(d, st)
	out := http.NewResponseController(w)
	if out.Flush() != nil {
		return
	}
	alive := time.NewTicker(s.opts.KeepAlive)
	defer alive.Stop()
	for {
		select {
		case <-st.wake:
			if !s.deliver(w, out, d, st) {
				return
			}
		case <-alive.C:
			if _, err := w.Write([]byte("\n")); err != nil || out.Flush() != nil {
				return
			}
		case <-st.over:
			return
		case <-r.Context().Done():
			return
		case <-s.stop:
			return
		}
	}
}

// deliver writes what is queued and reports whether the stream still works. A magic
// that could not be written goes back, unless a newer one is waiting.
func (s *Server) deliver(w http.ResponseWriter, out *http.ResponseController, d *device, st *stream) bool {
	for {
		s.mu.Lock()
		if d.stream != st || len(d.queue) == 0 {
			mine := d.stream == st
			s.mu.Unlock()
			return mine
		}
		magic := d.queue[0]
		d.queue = d.queue[1:]
		s.mu.Unlock()

		err := writeMagic(w, out, magic)
		s.mu.Lock()
		if err == nil {
			s.stats.Delivered++
		} else if len(d.queue) == 0 && d.gone.IsZero() {
			d.queue = append(d.queue, magic)
			if d.stream != nil {
				d.stream.signal()
			}
		}
		s.mu.Unlock()
		if err != nil {
			return false
		}
	}
}

func writeMagic(w http.ResponseWriter, out *http.ResponseController, magic string) error {
	line, err := json.Marshal(struct {
		MDM string `json:"mdm"`
	}{magic})
	if err != nil {
		return err
	}
	if _, err := w.Write(append(line, '\n')); err != nil {
		return err
	}
	return out.Flush()
}

// open registers the token and makes a stream for it, in place of any other.
func (s *Server) open(token, topic string) (*device, *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.devices[token]
	if d == nil || !d.gone.IsZero() {
		d = new(device)
		s.devices[token] = d
	}
	if d.stream != nil {
		close(d.stream.over)
	}
	if d.topic != topic {
		d.topic, d.queue = topic, nil
	}
	d.stream = &stream{wake: make(chan struct{}, 1), over: make(chan struct{})}
	if len(d.queue) > 0 {
		d.stream.signal()
	}
	s.stats.Streams++
	return d, d.stream
}

// leave ends a stream. The token stays registered, and of what was not delivered the
// last push is kept.
func (s *Server) leave(d *device, st *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Streams--
	if d.stream != st {
		return
	}
	d.stream = nil
	if n := len(d.queue); n > 1 {
		d.queue = d.queue[n-1:]
	}
}

// unregister is DELETE /device/{token}: from now on a push is answered with 410 and
// this time. A token that is not registered is no error.
func (s *Server) unregister(w http.ResponseWriter, r *http.Request) {
	raw, err := hex.DecodeString(r.PathValue("token"))
	if err != nil {
		http.Error(w, "the token is not hexadecimal", http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if d := s.devices[hex.EncodeToString(raw)]; d != nil && d.gone.IsZero() {
		d.gone, d.queue = s.opts.Now(), nil
		if d.stream != nil {
			close(d.stream.over)
			d.stream = nil
		}
	}
	w.WriteHeader(http.StatusNoContent)
}
