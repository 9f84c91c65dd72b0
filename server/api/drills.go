package api

import (
	"context"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/lost"
)

// Drills are rehearsals of a loss, as evidence that the process works.
type Drills struct {
	List[Drill]
	Last *time.Time `json:"last,omitempty" doc:"When the last one was; left out if there was none."`
	Due  *time.Time `json:"due,omitempty" doc:"When the next is due; left out for now, because there was none."`
}

// Drill is one rehearsal. The times are milliseconds after the report, left out for what
// has not happened; of a dry run nothing does.
type Drill struct {
	Case      Case     `json:"case"`
	Queued    *int64   `json:"queued_ms,omitempty" doc:"Until the first command was queued."`
	Delivered *int64   `json:"delivered_ms,omitempty" doc:"Until the first was handed out."`
	Accepted  *int64   `json:"accepted_ms,omitempty" doc:"Until the device accepted the first."`
	Would     []string `json:"would,omitempty" nullable:"false" doc:"Of a dry run: what would be done."`
}

func drillOf(r lost.Rehearsed) Drill {
	return Drill{Case: caseOf(r.Case), Queued: millis(r.Queued), Delivered: millis(r.Delivered), Accepted: millis(r.Accepted), Would: r.Would}
}

// millis leaves out what is negative.
func millis(d time.Duration) *int64 {
	if d < 0 {
		return nil
	}
	ms := d.Milliseconds()
	return &ms
}

type listDrillsInput struct{ Paging }

func (s *server) listDrills(ctx context.Context, in *listDrillsInput) (*reply[Drills], error) {
	f := lost.Filter{After: ward.CaseID(in.After), Limit: min(in.Limit, maxPage)}
	rs, err := s.Lost.Drills(ctx, f)
	if err != nil {
		return nil, err
	}
	last, due, err := s.Lost.DueDrill(ctx)
	if err != nil {
		return nil, err
	}
	return answer(Drills{
		List: page(rs, f.Limit, func(r lost.Rehearsed) string { return string(r.Case.ID) }, drillOf), Last: when(last), Due: when(due),
	}), nil
}
