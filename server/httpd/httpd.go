// Package httpd is what all of Ward's HTTP shares: request ids, the access log, the
// recovery from panics, headers that protect, and the one table of kinds and statuses.
// It knows no route and no rule of the business, and reads neither bodies nor tokens.
package httpd

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"runtime/debug"
	"time"

	"github.com/rs/xid"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/logkey"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Options are what the wrapping of handlers needs; both fields do.
type Options struct {
	Log *zap.Logger
	Now func() time.Time
}

// Wrap puts everything of this package around next, in the order that works: RequestID,
// AccessLog, Recover, Secure.
func Wrap(o Options, next http.Handler) http.Handler {
	return RequestID(o.Now, AccessLog(o.Log, o.Now, Recover(Secure(next))))
}

// RequestID gives each request an id, in its context (ward.RequestID) and in the header
// X-Request-Id of the answer. An id that the caller sends is not read: it could make
// two requests look like one.
func RequestID(now func() time.Time, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := xid.NewWithTime(now()).String()
		w.Header().Set("X-Request-Id", id)
		next.ServeHTTP(w, r.WithContext(ward.WithRequestID(r.Context(), id)))
	})
}

// note is what the handlers of one request tell its log line.
type note struct {
	err    error
	person ward.PersonID
}

type noteKey struct{}

// Note keeps err for the log line of the request in ctx; a later one takes its place. It
// does nothing outside AccessLog.
func Note(ctx context.Context, err error) {
	if n, ok := ctx.Value(noteKey{}).(*note); ok {
		n.err = err
	}
}

// NoteActor names who acts in the log line of the request in ctx, by id only.
func NoteActor(ctx context.Context, a ward.Actor) {
	if n, ok := ctx.Value(noteKey{}).(*note); ok {
		n.person = a.Person
	}
}

// AccessLog writes one line for each request: method, matched pattern, status, size,
// duration, request id, the acting person's id, and what went wrong. It writes no path,
// no query, no header and no body, for all of these hold secrets; and of an error that
// the caller caused only the kind, for its words repeat what was sent.
func AccessLog(log *zap.Logger, now func() time.Time, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, begin := &note{}, now()
		rec := &recorder{ResponseWriter: w}
		r = r.WithContext(context.WithValue(r.Context(), noteKey{}, n))
		defer func() { // also when the connection is cut by a panic
			writeLine(log, r, rec, n, now().Sub(begin))
		}()
		next.ServeHTTP(rec, r)
	})
}

func writeLine(log *zap.Logger, r *http.Request, rec *recorder, n *note, took time.Duration) {
	status := rec.status()
	ours := ward.KindOf(n.err) == ward.Internal || status >= http.StatusInternalServerError
	level := zapcore.InfoLevel
	switch {
	case ours && status != http.StatusServiceUnavailable:
		level = zapcore.ErrorLevel
	case status >= http.StatusBadRequest:
		level = zapcore.WarnLevel
	}
	line := log.Check(level, "request")
	if line == nil {
		return
	}
	fields := make([]zap.Field, 0, 9)
	fields = append(fields, zap.String(logkey.Method, r.Method), zap.String(logkey.Route, r.Pattern), zap.Int(logkey.Status, status),
		zap.Int64(logkey.Bytes, rec.bytes), zap.Duration(logkey.Duration, took), zap.String(logkey.RequestID, ward.RequestID(r.Context())))
	if n.person != "" {
		fields = append(fields, zap.String(logkey.Person, string(n.person)))
	}
	if n.err != nil {
		fields = append(fields, zap.String(logkey.Kind, string(ward.KindOf(n.err))))
		if ours {
			fields = append(fields, zap.String("error", Redact(n.err.Error())))
		}
	}
	line.Write(fields...)
}

// bearer is the form of Ward's tokens.
var bearer = regexp.MustCompile(`ward_[A-Za-z0-9_-]{20,}`)

// Redact takes tokens out of a text. It is a net beneath the rule that no secret comes
// near a log, not the rule.
func Redact(text string) string { return bearer.ReplaceAllString(text, "ward_…") }

// Recover turns a panic of next into an answer of 500 and an error for the log, with its
// stack. If the answer had begun, the connection is cut, so that nobody takes half an
// answer for a whole one. http.ErrAbortHandler passes.
func Recover(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec, ok := w.(*recorder)
		if !ok {
			rec = &recorder{ResponseWriter: w}
		}
		defer func() { //nolint:contextcheck // the request carries it
			v := recover()
			if v == nil {
				return
			}
			if v == http.ErrAbortHandler { //nolint:errorlint // it is panicked with as it is
				panic(v)
			}
			err := fmt.Errorf("panic: %v\n%s", v, debug.Stack())
			if rec.code != 0 {
				Note(r.Context(), err)
				panic(http.ErrAbortHandler)
			}
			WriteError(rec, r, err)
		}()
		next.ServeHTTP(rec, r)
	})
}

// Secure sets the headers that keep a browser from doing what nobody meant: nothing is
// sniffed, framed or run, and no address is told to other sites. A page that needs more
// replaces Content-Security-Policy by its own.
func Secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		next.ServeHTTP(w, r)
	})
}

// recorder remembers what was answered.
type recorder struct {
	http.ResponseWriter
	code  int // 0 before the header is written
	bytes int64
}

func (r *recorder) status() int {
	if r.code == 0 {
		return http.StatusOK
	}
	return r.code
}

// WriteHeader meets http.ResponseWriter.
func (r *recorder) WriteHeader(code int) {
	if r.code == 0 && code >= http.StatusOK {
		r.code = code
	}
	r.ResponseWriter.WriteHeader(code)
}

// Write meets http.ResponseWriter.
func (r *recorder) Write(b []byte) (int, error) {
	if r.code == 0 {
		r.code = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(b)
	r.bytes += int64(n)
	return n, err
}

// Flush meets http.Flusher, for handlers that ask for it instead of a controller.
func (r *recorder) Flush() {
	if r.code == 0 {
		r.code = http.StatusOK
	}
	_ = http.NewResponseController(r.ResponseWriter).Flush() // without a flusher there is nothing to hurry
}

// Unwrap lets http.ResponseController reach the writer beneath.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
