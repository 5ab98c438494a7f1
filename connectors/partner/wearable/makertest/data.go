package makertest

import (
	"net/http"
	"strings"
)

// empty are answers without data, by how the path begins.
var empty = []struct{ path, text string }{
	{"/1/user/-/activities/steps", `{"activities-steps":[]}`},
	{"/1/user/-/activities/calories", `{"activities-calories":[]}`},
	{"/1/user/-/activities/distance", `{"activities-distance":[]}`},
	{"/1/user/-/activities/heart", `{"activities-heart":[]}`},
	{"/1/user/-/activities/list.json", `{"activities":[],"pagination":{"next":"","offset":0}}`},
	{"/1.2/user/-/sleep", `{"sleep":[]}`},
	{"/1/user/-/body/log/weight", `{"weight":[]}`},
	{"/1/user/-/spo2", `[]`},
	{"/1/user/-/br", `{"br":[]}`},
	{"/1/user/-/hrv", `{"hrv":[]}`},
	{"/1/user/-/temp/skin", `{"tempSkin":[]}`},
	{"/v2/usercollection/", `{"data":[],"next_token":null}`},
	{"/wellness-api/rest/", `[]`},
	{"/v4/users/me/dataTypes/", `{"dataPoints":[],"nextPageToken":""}`},
	{"/fitness/v1/", `{"dataSourceId":"s","point":[]}`},
	{"/measure getmeas", `{"status":0,"body":{"measuregrps":[]}}`},
	{"/v2/measure getactivity", `{"status":0,"body":{"activities":[],"more":false,"offset":0}}`},
	{"/v2/measure getintradayactivity", `{"status":0,"body":{"series":[]}}`},
	{"/v2/sleep getsummary", `{"status":0,"body":{"series":[],"more":false,"offset":0}}`},
}

// page answers a request for data: with what [Fake.Serve] was told, else with none.
func (f *Fake) page(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	if action := r.PostForm.Get("action"); action != "" {
		path += " " + action
	}
	page := f.served(path)
	w.Header().Set("Content-Type", "application/json")
	if page != nil {
		if text := page(path, r.Form); text != nil {
			_, _ = w.Write(text) // to whoever is still there
			return
		}
	}
	for _, e := range empty {
		if strings.HasPrefix(path, e.path) {
			_, _ = w.Write([]byte(e.text)) // likewise
			return
		}
	}
	f.t.Errorf("no maker has %s", path)
	w.WriteHeader(http.StatusNotFound)
}

// served is what [Fake.Serve] was told of a path.
func (f *Fake) served(path string) Page {
	f.mu.Lock()
	defer f.mu.Unlock()
	for begin, page := range f.data {
		if strings.HasPrefix(path, begin) {
			return page
		}
	}
	return nil
}
