package virtual

// otherDeclarations says what a device takes of activations, assets and management. It is
// never changed. Source: github.com/apple/device-management, declarative/declarations.
var otherDeclarations = map[string]declarationRule{
	"com.apple.activation.simple": {
		ios: "15.0", mac: "13.0", onIOS: bySupervised | byDevice | byUser, onMac: bySupervised | byDevice | byUser,
		keys: map[string]keyRule{
			"StandardConfigurations":   {kind: list, required: true},
			"StandardConfigurations[]": {kind: str},
			"Predicate":                {kind: str},
		},
	},
	"com.apple.asset.data": {
		ios: "17.0", mac: "14.0", onIOS: bySupervised | byDevice | byUser, onMac: bySupervised | byDevice | byUser,
		keys: map[string]keyRule{
			"Reference":              {kind: dict, required: true},
			"Reference.DataURL":      {kind: str, required: true},
			"Reference.ContentType":  {kind: str},
			"Reference.Size":         {kind: integer},
			"Reference.Hash-SHA-256": {kind: str},
			"Authentication":         {kind: dict},
			"Authentication.Type":    {kind: str, required: true, oneOf: "MDM None"},
		},
	},
	"com.apple.asset.credential.acme": {
		ios: "17.0", mac: "14.0", onIOS: bySupervised | byDevice | byUser, onMac: bySupervised | byDevice | byUser,
		keys: map[string]keyRule{
			"Reference":              {kind: dict, required: true},
			"Reference.DataURL":      {kind: str, required: true},
			"Reference.ContentType":  {kind: str},
			"Reference.Size":         {kind: integer},
			"Reference.Hash-SHA-256": {kind: str},
			"Authentication":         {kind: dict},
			"Authentication.Type":    {kind: str, required: true, oneOf: "MDM None"},
			"Accessible":             {kind: str, oneOf: "Default AfterFirstUnlock"},
		},
	},
	"com.apple.asset.credential.scep": {
		ios: "17.0", mac: "14.0", onIOS: bySupervised | byDevice | byUser, onMac: bySupervised | byDevice | byUser,
		keys: map[string]keyRule{
			"Reference":              {kind: dict, required: true},
			"Reference.DataURL":      {kind: str, required: true},
			"Reference.ContentType":  {kind: str},
			"Reference.Size":         {kind: integer},
			"Reference.Hash-SHA-256": {kind: str},
			"Authentication":         {kind: dict},
			"Authentication.Type":    {kind: str, required: true, oneOf: "MDM None"},
			"Accessible":             {kind: str, oneOf: "Default AfterFirstUnlock"},
		},
	},
	"com.apple.asset.credential.certificate": {
		ios: "17.0", mac: "14.0", onIOS: bySupervised | byDevice | byUser, onMac: bySupervised | byDevice | byUser,
		keys: map[string]keyRule{
			"Reference":              {kind: dict, required: true},
			"Reference.DataURL":      {kind: str, required: true},
			"Reference.ContentType":  {kind: str},
			"Reference.Size":         {kind: integer},
			"Reference.Hash-SHA-256": {kind: str},
			"Authentication":         {kind: dict},
			"Authentication.Type":    {kind: str, required: true, oneOf: "MDM None"},
		},
	},
	"com.apple.asset.credential.identity": {
		ios: "17.0", mac: "14.0", onIOS: bySupervised | byDevice | byUser, onMac: bySupervised | byDevice | byUser,
		keys: map[string]keyRule{
			"Reference":              {kind: dict, required: true},
			"Reference.DataURL":      {kind: str, required: true},
			"Reference.ContentType":  {kind: str},
			"Reference.Size":         {kind: integer},
			"Reference.Hash-SHA-256": {kind: str},
			"Authentication":         {kind: dict},
			"Authentication.Type":    {kind: str, required: true, oneOf: "MDM None"},
			"Accessible":             {kind: str, oneOf: "Default AfterFirstUnlock"},
		},
	},
	"com.apple.asset.credential.userpassword": {
		ios: "15.0", mac: "13.0", onIOS: bySupervised | byDevice | byUser, onMac: bySupervised | byDevice | byUser,
		keys: map[string]keyRule{
			"Reference":              {kind: dict, required: true},
			"Reference.DataURL":      {kind: str, required: true},
			"Reference.ContentType":  {kind: str},
			"Reference.Size":         {kind: integer},
			"Reference.Hash-SHA-256": {kind: str},
			"Authentication":         {kind: dict, ios: "17.0", mac: "14.0"},
			"Authentication.Type":    {kind: str, required: true, oneOf: "MDM None"},
		},
	},
	"com.apple.asset.useridentity": {
		ios: "15.0", mac: "13.0", onIOS: bySupervised | byDevice | byUser, onMac: bySupervised | byDevice | byUser,
		keys: map[string]keyRule{
			"FullName":     {kind: str},
			"EmailAddress": {kind: str},
		},
	},
	"com.apple.management.organization-info": {
		ios: "15.0", mac: "13.0", onIOS: bySupervised | byDevice | byUser, onMac: bySupervised | byDevice | byUser,
		keys: map[string]keyRule{
			"Name":                {kind: str, required: true},
			"Email":               {kind: str},
			"URL":                 {kind: str},
			"Proof":               {kind: dict},
			"Proof.IdentityToken": {kind: str},
		},
	},
	"com.apple.management.properties": {
		ios: "16.0", mac: "13.0", onIOS: bySupervised | byDevice | byUser, onMac: bySupervised | byDevice | byUser,
		keys: map[string]keyRule{
			"*": {kind: anything},
		},
	},
	"com.apple.management.server-capabilities": {
		ios: "15.0", mac: "13.0", onIOS: bySupervised | byDevice | byUser, onMac: bySupervised | byDevice | byUser,
		keys: map[string]keyRule{
			"Version":             {kind: str, required: true},
			"SupportedFeatures":   {kind: dict, required: true},
			"SupportedFeatures.*": {kind: anything},
		},
	},
}
