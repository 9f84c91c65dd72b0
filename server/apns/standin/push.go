package standin

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http2"
)

// maxPayload is the largest MDM payload that APNs takes, in bytes.
const maxPayload = 4096

// Fault is a scripted answer. The zero Fault is none: the push is handled as usual.
type Fault struct {
	Status     int           // answer with this status and Reason; 0 for none
	Reason     string        // Apple's word; also the debug data of a GOAWAY
	Timestamp  time.Time     // in the body, if set
	RetryAfter time.Duration // in the header, if set
	// GoAway ends the connection with a GOAWAY frame, answering nothing that is open
	// on it.
	GoAway bool
	// Drop ends the connection without a word.
	Drop bool
}

// refusal is an answer that is not 200.
type refusal struct {
	status     int
	reason     string
	timestamp  time.Time
	retryAfter time.Duration
}

// push is the provider side: POST /3/device/{token}. Source: Apple, "Sending
// notification requests to APNs" and "Handling notification responses from APNs".
func (s *Server) push(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.stats.inProgress++
	s.stats.MaxAtOnce = max(s.stats.MaxAtOnce, s.stats.inProgress)
	script := s.script
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.stats.inProgress--
		s.mu.Unlock()
	}()

	id := r.Header.Get("apns-id")
	if id == "" {
		id = newUUID()
	}
	w.Header().Set("apns-id", id)
	token, magic, bad := s.decode(r)
	if bad == nil {
		f := script(token)
		if f.GoAway || f.Drop {
			s.count("GoAway", f.GoAway)
			s.count("Drop", f.Drop)
			hangUp(r, f)
			panic(http.ErrAbortHandler) // nothing may be written any more
		}
		if f.Status != 0 && f.Status != http.StatusOK {
			bad = &refusal{f.Status, f.Reason, f.Timestamp, f.RetryAfter}
		} else {
			bad = s.accept(token, r.Header.Get("apns-topic"), magic)
		}
	}
	if bad != nil {
		s.count(bad.reason, true)
		writeRefusal(w, *bad)
		return
	}
	w.WriteHeader(http.StatusOK)
}

// decode checks everything that can be checked without knowing the token.
func (s *Server) decode(r *http.Request) (token, magic string, bad *refusal) {
	no := func(status int, reason string) (string, string, *refusal) {
		return "", "", &refusal{status: status, reason: reason}
	}
	c, _ := r.Context().Value(connKey{}).(*conn)
	if c == nil || r.TLS == nil {
		return no(http.StatusInternalServerError, "InternalServerError")
	}
	c.verify.Do(func() { c.topic, c.reason = s.ca.check(r.TLS.PeerCertificates) })
	token, ok := strings.CutPrefix(r.URL.Path, "/3/device/")
	if r.URL.Path == "/3/device" {
		token, ok = "", true
	}
	raw, hexErr := hex.DecodeString(token)
	topic := r.Header.Get("apns-topic")
	_, expErr := strconv.ParseInt(r.Header.Get("apns-expiration"), 10, 64)
	switch {
	case r.ProtoMajor != 2:
		return no(http.StatusHTTPVersionNotSupported, "HTTP2Required")
	case r.Method != http.MethodPost:
		return no(http.StatusMethodNotAllowed, "MethodNotAllowed")
	case c.reason != "":
		return no(http.StatusForbidden, c.reason)
	case !ok || strings.Contains(token, "/"):
		return no(http.StatusNotFound, "BadPath")
	case token == "":
		return no(http.StatusBadRequest, "MissingDeviceToken")
	case hexErr != nil || len(raw) > maxToken:
		return no(http.StatusBadRequest, "BadDeviceToken")
	case topic == "":
		return no(http.StatusBadRequest, "MissingTopic")
	case topic != c.topic:
		return no(http.StatusBadRequest, "TopicDisallowed")
	case r.Header.Get("apns-push-type") != "mdm":
		return no(http.StatusBadRequest, "InvalidPushType")
	case !validPriority(r.Header.Get("apns-priority")):
		return no(http.StatusBadRequest, "BadPriority")
	case r.Header.Get("apns-expiration") != "" && expErr != nil:
		return no(http.StatusBadRequest, "BadExpirationDate")
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxPayload+1))
	var p struct {
		MDM string `json:"mdm"`
	}
	switch {
	case err != nil:
		return no(http.StatusBadRequest, "IdleTimeout")
	case len(body) > maxPayload:
		return no(http.StatusRequestEntityTooLarge, "PayloadTooLarge")
	case json.Unmarshal(body, &p) != nil || p.MDM == "":
		return no(http.StatusBadRequest, "PayloadEmpty")
	}
	return hex.EncodeToString(raw), p.MDM, nil
}

func validPriority(p string) bool { return p == "" || p == "10" || p == "5" || p == "1" }

// count adds one to the refusals for the reason, if yes.
func (s *Server) count(reason string, yes bool) {
	if !yes {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Refused[reason]++
}

func writeRefusal(w http.ResponseWriter, bad refusal) {
	var body struct {
		Reason    string `json:"reason"`
		Timestamp int64  `json:"timestamp,omitempty"`
	}
	body.Reason = bad.reason
	if !bad.timestamp.IsZero() {
		body.Timestamp = bad.timestamp.UnixMilli()
	}
	b, err := json.Marshal(body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	if bad.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(bad.retryAfter.Seconds())))
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(bad.status)
	// A provider that has gone away reads no answer.
	_, _ = w.Write(b)
}

// hangUp ends the connection of r, for a GOAWAY with the frame first. The frame names
// the highest stream as processed, so that the provider cannot know what became of its
// push: the worst case it has to stand.
func hangUp(r *http.Request, f Fault) {
	c, ok := r.Context().Value(connKey{}).(*conn)
	if !ok {
		return
	}
	if frame, err := goAway(f.Reason); f.GoAway && err == nil {
		_, _ = c.Write(frame) // the provider may have gone first
	}
	_ = c.Close() // closing is the purpose; an error means that it is closed
}

// goAway is a GOAWAY frame (RFC 9113 §6.8) with Apple's JSON as its debug data.
func goAway(reason string) ([]byte, error) {
	debug, err := json.Marshal(map[string]string{"reason": reason})
	if err != nil {
		return nil, err
	}
	var frame bytes.Buffer
	err = http2.NewFramer(&frame, nil).WriteGoAway(1<<31-1, http2.ErrCodeNo, debug)
	return frame.Bytes(), err
}

// newUUID returns a random UUID in the form of an apns-id.
func newUUID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails (crypto/rand)
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return strings.ToUpper(fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:]))
}
