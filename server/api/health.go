package api

import (
	"context"
	"time"

	"github.com/wardmdm/ward/server/health"
)

// Health says what is wrong with the server, or soon will be.
type Health struct {
	At       time.Time `json:"at"`
	Version  string    `json:"version"`
	Worst    string    `json:"worst" doc:"fault, warning or notice; empty where nothing is wrong."`
	Troubles []Trouble `json:"troubles" nullable:"false" doc:"The worst first."`
	Looked   []Looked  `json:"looked" nullable:"false" doc:"All that was looked at."`
}

// Trouble is one thing that is wrong.
type Trouble struct {
	Code     string     `json:"code"`
	Title    string     `json:"title"`
	Severity string     `json:"severity" doc:"fault: it does not work, or will stop within days; warning: it will not work for ever; notice: good to know."`
	Text     string     `json:"text"`
	Cure     string     `json:"cure"`
	Since    *time.Time `json:"since,omitempty"`
}

// Looked is one thing that was looked at.
type Looked struct {
	Code  string `json:"code"`
	Title string `json:"title"`
	About string `json:"about"`
	Well  bool   `json:"well"`
}

func healthOf(r health.Report) Health {
	out := Health{At: r.At.UTC(), Version: r.Version, Worst: string(r.Worst()), Troubles: []Trouble{}, Looked: []Looked{}}
	for _, t := range r.Troubles() {
		one := Trouble{Code: t.Code, Title: t.Title, Severity: string(t.Severity), Text: t.Text, Cure: t.Cure}
		if !t.Since.IsZero() {
			since := t.Since.UTC()
			one.Since = &since
		}
		out.Troubles = append(out.Troubles, one)
	}
	for _, l := range r.Looks {
		out.Looked = append(out.Looked, Looked{Code: l.Code, Title: l.Title, About: l.About, Well: len(l.Troubles) == 0})
	}
	return out
}

func (s *server) showHealth(ctx context.Context, _ *noInput) (*reply[Health], error) {
	r, err := s.Health(ctx)
	if err != nil {
		return nil, err
	}
	return answer(healthOf(r)), nil
}
