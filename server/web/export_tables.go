package web

import (
	"context"
	"strings"

	"github.com/wardmdm/ward/server/approver"
	"github.com/wardmdm/ward/server/brake"
	"github.com/wardmdm/ward/server/lost"
	"github.com/wardmdm/ward/server/order"
	"github.com/wardmdm/ward/server/report"
)

// exportedMost bounds the lists that are gathered page by page.
const exportedMost = 100_000

// ordersTable is the list of orders as a file keeps it.
func (s *Server) ordersTable(ctx context.Context, st order.State) (report.Table, error) {
	t := report.Table{Name: "orders", Title: "Orders", Columns: []report.Column{{Head: "State", Kind: report.State, Share: 14}, {Head: "Order", Share: 24}, {Head: "Why", Share: 26}, {Head: "Asked by", Share: 14}, {Head: "Asked", Kind: report.Time, Share: 12}, {Head: "Signed by", Share: 16}, {Head: "Id"}}}
	if st != "" {
		t.Says = []string{"only those that are " + string(st)}
	}
	now := s.Now()
	f := order.Filter{State: st, Limit: 100}
	for len(t.Rows) < exportedMost {
		page, err := s.Orders.List(ctx, f)
		if err != nil {
			return t, err
		}
		for _, o := range page {
			var by []string
			for _, a := range o.Approvals {
				by = append(by, a.Name)
			}
			tag := orderTag(o, now)
			t.Rows = append(t.Rows, []report.Cell{{Text: tag.Text, Tone: tag.Tone}, {Text: orderTitle(o), Href: orderAddress(o.ID)}, {Text: o.Reason}, {Text: o.RequestedName}, {Time: o.Created}, {Text: strings.Join(by, ", ")}, {Text: string(o.ID)}})
		}
		if len(page) < f.Limit {
			break
		}
		f.After = page[len(page)-1].ID
	}
	return t, nil
}

// casesTable is the list of lost devices as a file keeps it.
func (s *Server) casesTable(ctx context.Context, st lost.State) (report.Table, error) {
	t := report.Table{Name: "cases", Title: "Lost and stolen devices", Columns: []report.Column{{Head: "State", Kind: report.State}, {Head: "Device", Share: 20}, {Head: "Reported", Kind: report.Time}, {Head: "By"}, {Head: "Last seen at", Share: 18}, {Head: "Found", Kind: report.Time}, {Head: "Closed", Kind: report.Time}, {Head: "Case"}}}
	if st != "" {
		t.Says = []string{"only those that are " + string(st)}
	}
	f := lost.Filter{State: st, Which: lost.OnlyReal, Limit: 100}
	for len(t.Rows) < exportedMost {
		page, err := s.Lost.List(ctx, f)
		if err != nil {
			return t, err
		}
		for _, c := range page {
			row, err := s.caseRow(ctx, c)
			if err != nil {
				return t, err
			}
			t.Rows = append(t.Rows, []report.Cell{{Text: row.Tag.Text, Tone: row.Tag.Tone}, {Text: row.Device, Href: row.Href}, {Time: c.Reported}, {Text: row.By}, {Text: c.LastSeenWhere}, {Time: c.Found, Text: "no"}, {Time: c.Closed, Text: "no"}, {Text: string(c.ID)}})
		}
		if len(page) < f.Limit {
			break
		}
		f.After = page[len(page)-1].ID
	}
	return t, nil
}

// drillsTable is the list of rehearsals as a file keeps it.
func (s *Server) drillsTable(ctx context.Context) (report.Table, error) {
	t := report.Table{Name: "drills", Title: "Rehearsals", Columns: []report.Column{{Head: "State", Kind: report.State}, {Head: "Device"}, {Head: "Kind"}, {Head: "Begun", Kind: report.Time}, {Head: "By"}, {Head: "Queued"}, {Head: "Delivered"}, {Head: "Accepted"}, {Head: "Would have", Share: 22}}}
	f := lost.Filter{Limit: 100}
	for len(t.Rows) < exportedMost {
		page, err := s.Lost.Drills(ctx, f)
		if err != nil {
			return t, err
		}
		for _, d := range page {
			row, err := s.caseRow(ctx, d.Case)
			if err != nil {
				return t, err
			}
			t.Rows = append(t.Rows, []report.Cell{{Text: row.Tag.Text, Tone: row.Tag.Tone}, {Text: row.Device, Href: row.Href}, {Text: sentenceCase(d.Case.Drill.Words())}, {Time: d.Case.Reported}, {Text: row.By}, {Text: after(d.Queued)}, {Text: after(d.Delivered)}, {Text: after(d.Accepted)}, {Text: strings.Join(d.Would, "; ")}})
		}
		if len(page) < f.Limit {
			break
		}
		f.After = page[len(page)-1].Case.ID
	}
	return t, nil
}

// approversTable is the list of those who may sign orders, as a file keeps it.
func (s *Server) approversTable(ctx context.Context) (report.Table, error) {
	t := report.Table{Name: "approvers", Title: "Approvers", Columns: []report.Column{{Head: "State", Kind: report.State}, {Head: "Name"}, {Head: "Who they are"}, {Head: "Own staff"}, {Head: "Passkey registered", Kind: report.Time}, {Head: "May sign since", Kind: report.Time}, {Head: "Ended", Kind: report.Time}, {Head: "Id"}}}
	all, err := s.Approvers.List(ctx)
	if err != nil {
		return t, err
	}
	for _, a := range all {
		own := "yes"
		if a.Outside {
			own = "no"
		}
		tone := "quiet"
		if a.State == approver.Stands {
			tone = "good"
		}
		t.Rows = append(t.Rows, []report.Cell{{Text: sentenceCase(string(a.State)), Tone: tone}, {Text: a.Name}, {Text: a.Subject}, {Text: own}, {Time: a.At}, {Time: a.Since, Text: "never"}, {Time: a.Ended, Text: "no"}, {Text: a.ID}})
	}
	return t, nil
}

// noticesTable is the list of messages as a file keeps it.
func (s *Server) noticesTable(ctx context.Context) (report.Table, error) {
	t := report.Table{Name: "notifications", Title: "Who was told", Columns: []report.Column{{Head: "State", Kind: report.State}, {Head: "About", Share: 34}, {Head: "To", Share: 20}, {Head: "Channel"}, {Head: "Made", Kind: report.Time}, {Head: "Delivered", Kind: report.Time}, {Head: "Error"}}}
	for after := ""; len(t.Rows) < exportedMost; {
		page, err := s.Notify.Log(ctx, after, 200)
		if err != nil {
			return t, err
		}
		for _, d := range page {
			row := s.noticeRow(d)
			t.Rows = append(t.Rows, []report.Cell{{Text: row.Tag.Text, Tone: row.Tag.Tone}, {Text: d.Message.Subject, Href: d.Message.Link}, {Text: row.To}, {Text: d.Channel}, {Time: d.Made}, {Time: d.Delivered, Text: "no"}, {Text: d.Error}})
		}
		if len(page) < 200 {
			break
		}
		after = page[len(page)-1].ID
	}
	return t, nil
}

// brakeTable is how full the windows of the brake are, as a file keeps it.
func (s *Server) brakeTable(ctx context.Context) (report.Table, error) {
	t := report.Table{Name: "brake", Title: "Brake", Columns: []report.Column{{Head: "Deeds"}, {Head: "Within"}, {Head: "Done", Kind: report.Number}, {Head: "It takes", Kind: report.Number}, {Head: "Held since", Kind: report.Time}, {Head: "Why", Share: 30}}}
	meters, err := s.Brake.Meters(ctx)
	if err != nil {
		return t, err
	}
	holds, err := s.Brake.Holds(ctx)
	if err != nil {
		return t, err
	}
	held := map[brake.Kind]brake.Hold{}
	for _, h := range holds {
		held[h.Kind] = h
	}
	for _, m := range meters {
		_, many := brake.Words(m.Kind)
		h := held[m.Kind]
		t.Rows = append(t.Rows, []report.Cell{{Text: sentenceCase(many), Href: "/brake"}, {Text: m.Limit.Window.String()}, {Text: report.Thousands(m.Count)}, {Text: report.Thousands(m.Most)}, {Time: h.Since, Text: "not held"}, {Text: h.Why}})
	}
	return t, nil
}
