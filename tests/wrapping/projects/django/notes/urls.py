from django.core.cache import cache
from django.http import HttpResponse, JsonResponse
from django.urls import path

from notes.models import Note


def notes(request):
    if request.method == "POST":
        note = Note.objects.create(text=request.body.decode())
        return JsonResponse({"id": note.pk}, status=201)
    return JsonResponse({"notes": Note.objects.count()})


def visits(request):
    cache.add("visits", 0)
    return JsonResponse({"visits": cache.incr("visits")})


def health(request):
    return HttpResponse("ok")


urlpatterns = [path("notes", notes), path("visits", visits), path("health", health)]
