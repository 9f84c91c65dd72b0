package api

import (
	"context"

	"github.com/wardmdm/ward/server/access"
)

// fileRoutes: whoever may see a case may have its file. That of an order holds its statement,
// and with it a Wi-Fi password, which not everybody reads who may see orders. That a file was
// made is audited.
func (s *server) fileRoutes() {
	for _, part := range []struct {
		end, id, what, produces string
		of                      func(context.Context, string, maker) (*download, error)
	}{
		{"/file", "file", "signed pack of", packType, s.packOf},
		{"/file.pdf", "pdf", "file for people of", pdfType, s.pdfOf},
		{"/file.p7s", "signature", "signature of the PDF of", p7sType, s.signatureOf},
		{"/file.zip", "archive", "pack, the PDF and its signature of", zipType, s.archiveOf},
	} {
		handle(s, operation{method: get, path: "/cases/{id}" + part.end, permission: access.DeviceRead, id: "case-" + part.id, summary: "Get the " + part.what + " a case", produces: part.produces},
			func(ctx context.Context, in *CasePath) (*download, error) {
				subject, build := s.ofCase(in.ID)
				return part.of(ctx, subject, build)
			})
		handle(s, operation{method: get, path: "/orders/{id}" + part.end, permission: access.AuditRead, id: "order-" + part.id, summary: "Get the " + part.what + " an order that belongs to no case", produces: part.produces},
			func(ctx context.Context, in *OrderPath) (*download, error) {
				subject, build := s.ofOrder(in.ID)
				return part.of(ctx, subject, build)
			})
	}
}
