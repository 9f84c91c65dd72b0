package apns

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// maxAnswer caps what is read of an answer: Apple's error bodies are under 100 bytes.
const maxAnswer = 4 << 10

// Error is a push that did not succeed. Source of statuses and reasons: Apple,
// "Handling notification responses from APNs",
// https://developer.apple.com/documentation/usernotifications/handling-notification-responses-from-apns
type Error struct {
	Status     int           // HTTP status; 0 if no answer came, then Err says why
	Reason     string        // Apple's word, such as BadDeviceToken; may be empty
	Timestamp  time.Time     // with 410: since when the token is dead; else zero
	RetryAfter time.Duration // how long APNs asked to wait; 0 if it did not
	Err        error         // the transport's error; nil if an answer came
}

// Error describes the refusal in one line.
func (e *Error) Error() string {
	if e.Status == 0 {
		return fmt.Sprintf("apns: no answer: %v", e.Err)
	}
	s := "apns: status " + strconv.Itoa(e.Status)
	if e.Reason != "" {
		s += ": " + e.Reason
	}
	if !e.Timestamp.IsZero() {
		s += " since " + e.Timestamp.UTC().Format(time.RFC3339)
	}
	return s
}

// Unwrap returns the transport's error.
func (e *Error) Unwrap() error { return e.Err }

// Dead reports whether the token will never work again: nothing should be sent to it
// until the device tells a new one.
func (e *Error) Dead() bool {
	if e.Status == http.StatusGone {
		return true
	}
	return e.Status == http.StatusBadRequest &&
		(e.Reason == "BadDeviceToken" || e.Reason == "DeviceTokenNotForTopic")
}

// Temporary reports whether the same push may succeed later.
func (e *Error) Temporary() bool {
	switch {
	case e.Status == 0, e.Status == http.StatusTooManyRequests, e.Status >= 500:
		return true
	case e.Status == http.StatusBadRequest:
		return e.Reason == "IdleTimeout"
	}
	return false
}

// Dead reports whether err says that the token will never work again.
func Dead(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Dead()
}

// answerError reads an answer that is not a success. A body that is not Apple's JSON
// leaves the reason empty: the status alone still tells what to do.
func answerError(r *http.Response, now time.Time) *Error {
	e := &Error{Status: r.StatusCode, RetryAfter: retryAfter(r.Header.Get("Retry-After"), now)}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxAnswer))
	if err != nil {
		e.Err = err
	}
	e.Reason, e.Timestamp = parseAnswer(body)
	return e
}

// parseAnswer returns the reason and the time of an error body. Apple gives the time in
// milliseconds since 1970.
func parseAnswer(body []byte) (string, time.Time) {
	var a struct {
		Reason    string `json:"reason"`
		Timestamp int64  `json:"timestamp"`
	}
	if json.Unmarshal(body, &a) != nil {
		return "", time.Time{}
	}
	if a.Timestamp <= 0 {
		return a.Reason, time.Time{}
	}
	return a.Reason, time.UnixMilli(a.Timestamp).UTC()
}

// retryAfter reads the header's two forms, seconds and a date (RFC 9110 §10.2.3).
// Anything else, and a time that has passed, is 0.
func retryAfter(v string, now time.Time) time.Duration {
	if v == "" {
		return 0
	}
	if s, err := strconv.Atoi(v); err == nil {
		return time.Duration(min(max(s, 0), 86400)) * time.Second
	}
	if t, err := http.ParseTime(v); err == nil {
		return max(t.Sub(now), 0)
	}
	return 0
}
