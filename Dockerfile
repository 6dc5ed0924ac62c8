# One image for all processes: console, API and webhooks in one (default), either as a process of its own, and the worker.
FROM python:3.13-slim
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /app
RUN useradd --create-home hospient && mkdir var && chown hospient var
COPY requirements.txt requirements-scale.txt ./
RUN pip install --no-cache-dir -r requirements-scale.txt
COPY . .
USER hospient
RUN python manage.py collectstatic --noinput
EXPOSE 8000
HEALTHCHECK CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=3)"]
CMD ["python", "manage.py", "serve", "--host", "0.0.0.0", "--workers", "2"]
