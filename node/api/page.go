package api

func (s *server) routePage() {}
