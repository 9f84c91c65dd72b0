package web

import (
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/evidence"
)

// EvidenceParts are what the pages of reports, packs and exports stand on. Without a Service
// nothing can be exported and there are no reports.
type EvidenceParts struct {
	*evidence.Service
}

// evidencePages are those templates.
type evidencePages struct {
	evidence page[*evidencePage]
	report   page[*reportPage]
	question page[*questionPage]
	subject  page[*subjectPage]
	erasure  page[*erasurePage]
}

func (p *evidencePages) files() []pageFile {
	return []pageFile{
		file("evidence", &p.evidence),
		file("report", &p.report),
		file("question", &p.question),
		file("subject", &p.subject),
		file("erasure", &p.erasure),
	}
}

// evidenceRoutes are those addresses. Whom a report is about stands in the body of a form and
// in no address, so that it gets into no log.
func (s *Server) evidenceRoutes() []route {
	return []route{
		{"GET /evidence", access.EvidenceRead, s.evidenceList},
		{"GET /evidence/{pack}", access.EvidenceRead, s.evidenceReport},
		{"GET /evidence/question", access.EvidenceRead, s.evidenceQuestion},
		{"GET /evidence/subject-access", access.EvidenceRead, s.subjectForm},
		{"POST /evidence/subject-access", access.EvidenceRead, s.subjectReport},
		{"GET /evidence/erasure", access.PersonErase, s.erasureForm},
		{"POST /evidence/erasure", access.PersonErase, s.erasurePlan},
		{"POST /evidence/erasure/now", access.PersonErase, s.erase},
	}
}
